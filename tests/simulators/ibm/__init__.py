# SPDX-License-Identifier: Apache-2.0
"""An IBM Storwize (SVC, FlashSystem, Inspur AS) that runs anywhere: its CLI over SSH, its statistics files, its traps.

    with Storwize(sizes=Sizes.of(10_000)) as array:
        ... array.host, array.port, array.username, array.password, array.client_key, array.host_key ...
        array.control.raise_fault('drive')

Written from the facts of the product, not from the driver: the two share no module, table or constant, so that one can
find the other wrong.

How it is made:

    Storwize(seed='storwize', sizes=None, *, level=V8_3, host='127.0.0.1', port=0, username='delfin',
             password='Simulated-1', role='Administrator', latency=0.0, flawless=False, hostile_names=False,
             algorithms='modern', clock=None, time_zone='Europe/Berlin', session_limit=32, channel_limit=10,
             move_every=None, control_port=None, trap_source=None)

* `sizes`: `Sizes(volumes=…, pools=…, …)`, or `Sizes.of(volumes)`.
* `level`: V7_8, V8_3, V8_5, V8_7, INSPUR (commands only behind `mcsinq` and `mcsop`), or `dataclasses.replace` of
  one: `lsnode`, `lsnodecanister`, `lsportip` (else lsportethernet and lsip), `missing` commands, `no_bytes` commands,
  `without` columns, `sftp`.
* `role`: Administrator or Monitor.
* `algorithms`: modern; old (CBC, SHA-1 and ssh-rsa only: paramiko 4 has them, paramiko 5 has dropped the last two);
  dss (as old, but with a DSA host key, which paramiko 4 has dropped as well).
* `clock`: `Clock()` goes with the machine's, `Clock(at=1763634000)` stands still; `.advance(seconds)`, `.set(epoch)`.

What it has:

    array.host_key          line of known_hosts without the host: 'ssh-ed25519 AAAA…'; array.fingerprint 'SHA256:…'
    array.client_key        private key that may log in, in the format of OpenSSH
    array.model             the truth (see model.py): model.system, model['volume']['17'].name, model.usage(),
                            model.whole(); kinds: node fc_port eth_port pool mdisk drive enclosure volume host
                            host_cluster volume_group mapping
    array.events            the event log: .current, .find(sequence)
    array.statistics        .truth(kind, id, begin, end): average IO/s, bytes/s, seconds … of two epoch times, all nodes
    array.log               the latest commands and fetched files, as they came: Seen(text, words, status, user)
    array.asked('lsvdisk')  how often
    array.injections        commands that contained what a shell would interpret; the array executed none of them
    array.logins, array.refused, array.connections, array.sessions
    array.clock             move it forward, and files appear, roll over and vanish

What can be done to it (`array.control`, over HTTP as well if it has a control port):

    raise_fault(kind, id, fault), repair(sequence), repair_all(), log_event(fault, kind, id) (an entry without a fault)
    tell(host, port, version, user), add_user(…)           receivers of traps, beside mksnmpserver
    spoil(command, form, …)                                see injection.Fault; unspoil(), spoiled()
    latency(seconds, command='')
    password(text), lock(), account_state('normal' | 'locked' | 'expired'), role('Monitor')
    change_host_key(algorithm='ssh-ed25519'), hang_up(), fill_sessions(left=0), empty_sessions()
    reboot(node, seconds=0), fail_over(), take_down(node), bring_up(node)
    advance(seconds)                                       the array's clock
    rename(kind, id, name), change(kind, id, attribute=…), add_volumes(count), remove(kind, id), move()
    statistics(on, minutes), truncate_files('Nv_*'), remove_files('Nv_*'), clear_events()

Names on the wire: the array writes them as they are, in UTF-8, and quotes and escapes nothing. A name with the
delimiter therefore makes a concise row longer than its header, while a detailed row is right if it is split at the
first delimiter only. A line break or another control character cannot appear in a line; the array writes `?`
instead, as ls does on a terminal (`Level.raw_control_characters` lets it write them all the same, which tears the row
in two).
"""

from tests.simulators.clock import Clock
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.injection import Fault
from tests.simulators.ibm.levels import INSPUR, V7_8, V8_3, V8_5, V8_7, Level
from tests.simulators.ibm.server import Storwize

__all__ = ['INSPUR', 'V7_8', 'V8_3', 'V8_5', 'V8_7', 'Clock', 'Fault', 'Level', 'Sizes', 'Storwize']
