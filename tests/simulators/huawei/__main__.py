# SPDX-License-Identifier: Apache-2.0
"""An OceanStor by hand.

    python -m tests.simulators.huawei --port 8088 --luns 10000 --control-port 8089 --traps-to 127.0.0.1:1162
"""

from __future__ import annotations

from pathlib import Path

from tests.simulators import hand
from tests.simulators.huawei.build import Sizes
from tests.simulators.huawei.firmware import BY_NAME
from tests.simulators.huawei.server import OceanStor


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = hand.parser('tests.simulators.huawei', 'A simulated OceanStor.', port=8088, seed='oceanstor',
                         username='monitor')
    parser.add_argument('--luns', type=int, default=Sizes.luns, help='other objects grow with them')
    parser.add_argument('--firmware', choices=sorted(BY_NAME), default='dorado-v6')
    parser.add_argument('--certificate', type=Path, metavar='FILE', help='write the CA of the certificate here')
    given = parser.parse_args()

    def make() -> OceanStor:
        array = OceanStor(given.seed, Sizes.of(given.luns), firmware=BY_NAME[given.firmware], host=given.host,
                          port=given.port, username=given.username, password=given.password, latency=given.latency,
                          flawless=given.flawless, move_every=given.move or None, control_port=given.control_port)
        if given.certificate is not None:
            given.certificate.write_text(array.ca_pem)
        return array
    hand.run(given, make, lambda array: hand.Shown(
        f'{array.firmware.product} {array.serial}', f'{len(array.alarms.current)} alarms',
        f'{array.url}/deviceManager/rest/  as {given.username} / {given.password}'))


if __name__ == '__main__':
    main()
