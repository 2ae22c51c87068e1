# SPDX-License-Identifier: Apache-2.0
"""A Storwize by hand.

    python -m tests.simulators.ibm --port 8022 --volumes 10000 --control-port 8089 --traps-to 127.0.0.1:1162
    ssh -p 8022 delfin@127.0.0.1 lsvdisk -bytes -delim '!'
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.simulators import hand
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.levels import BY_NAME
from tests.simulators.ibm.server import Storwize
from tests.simulators.ssh import ALGORITHMS


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = hand.parser('tests.simulators.ibm', 'A simulated IBM Storwize.', port=8022, seed='storwize',
                         username='delfin')
    parser.add_argument('--volumes', type=int, default=Sizes.volumes, help='other objects grow with them')
    parser.add_argument('--level', choices=sorted(BY_NAME), default='8.3', help='of the code')
    parser.add_argument('--role', choices=('Administrator', 'Monitor'), default='Administrator')
    parser.add_argument('--algorithms', choices=sorted(ALGORITHMS), default='modern', help='that SSH offers')
    parser.add_argument('--hostile-names', action='store_true', help='volumes are called what no volume can be called')
    parser.add_argument('--time-zone', default='Europe/Berlin')
    parser.add_argument('--key', type=Path, metavar='FILE', help='write the private key that may log in here')
    given = parser.parse_args()

    def make() -> Storwize:
        array = Storwize(given.seed, Sizes.of(given.volumes), level=BY_NAME[given.level], host=given.host,
                         port=given.port, username=given.username, password=given.password, role=given.role,
                         latency=given.latency, flawless=given.flawless, hostile_names=given.hostile_names,
                         algorithms=given.algorithms, time_zone=given.time_zone, move_every=given.move or None,
                         control_port=given.control_port)
        if given.key is not None:
            given.key.touch(0o600)
            os.chmod(given.key, 0o600)
            given.key.write_text(array.client_key)
        return array
    hand.run(given, make, lambda array: hand.Shown(
        f'{array.level.product} {array.model.system.id}', f'{len(array.events.current)} events',
        f'{array.host}:{array.port}  as {given.username} / {given.password}, {array.fingerprint}'))


if __name__ == '__main__':
    main()
