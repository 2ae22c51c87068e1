# SPDX-License-Identifier: Apache-2.0
"""An OceanStor by hand.

    python -m tests.simulators.huawei --port 8088 --luns 10000 --control-port 8089 --traps-to 127.0.0.1:1162
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.simulators.huawei.build import Sizes
from tests.simulators.huawei.firmware import BY_NAME
from tests.simulators.huawei.server import OceanStor


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog='python -m tests.simulators.huawei', description='A simulated OceanStor.')
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=8088, help='0 takes a free one')
    parser.add_argument('--control-port', type=int, default=0, help='on loopback; 0 takes a free one')
    parser.add_argument('--luns', type=int, default=Sizes.luns, help='other objects grow with them')
    parser.add_argument('--seed', default='oceanstor', help='the same seed, the same array')
    parser.add_argument('--firmware', choices=sorted(BY_NAME), default='dorado-v6')
    parser.add_argument('--flawless', action='store_true', help='nothing is broken at first')
    parser.add_argument('--username', default='monitor')
    parser.add_argument('--password', default='Simulated-1')
    parser.add_argument('--latency', type=float, default=0.0, help='seconds before each answer')
    parser.add_argument('--move', type=float, default=60.0, metavar='SECONDS',
                        help='between changes of used capacities; 0: they stay')
    parser.add_argument('--traps-to', type=_address, action='append', default=[], metavar='HOST:PORT')
    parser.add_argument('--community', default='public', help='of v2c traps')
    parser.add_argument('--certificate', type=Path, metavar='FILE', help='write the CA of the certificate here')
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        array = OceanStor(given.seed, Sizes.of(given.luns), firmware=BY_NAME[given.firmware], host=given.host,
                          port=given.port, username=given.username, password=given.password, latency=given.latency,
                          flawless=given.flawless, move_every=given.move or None, control_port=given.control_port)
    except OSError as error:
        sys.exit(f'{error}: choose another --host, --port or --control-port')
    array.agent.community = given.community
    for host, port in given.traps_to:
        array.agent.add(host, port)
    if given.certificate is not None:
        given.certificate.write_text(array.ca_pem)
    with array:
        objects = ', '.join(f'{len(items)} {kind}' for kind, items in array.model.objects.items() if items)
        print(f'{array.firmware.product} {array.serial}: {objects}, {len(array.alarms.current)} alarms\n'
              f'array    {array.url}/deviceManager/rest/  as {given.username} / {given.password}\n'
              f'control  {array.control_url}/\n'
              f'traps    {", ".join(f"{host}:{port}" for host, port in given.traps_to) or "to nobody"}', flush=True)
        ended.wait()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(':')
    if not colon or not port.isdecimal():
        raise argparse.ArgumentTypeError('write host:port')
    return host.strip('[]'), int(port)


if __name__ == '__main__':
    main()
