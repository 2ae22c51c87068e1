# SPDX-License-Identifier: Apache-2.0
"""What the tests of the simulated OceanStor share: somebody who asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import requests

from tests.simulators.huawei import OceanStor, Sizes

FEW = Sizes(luns=12, pools=4, controllers=2, filesystems=4, hosts=4, host_groups=3, fc_ports=4, eth_ports=4)
NO_SUCH_OBJECT = 1077948996


class Client:
    """Asks an array over real HTTPS, as simply as possible. `login` says who it is."""

    def __init__(self, array: OceanStor, authority: Path) -> None:
        self.array = array
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(authority)
        self.anybody = self.root = f'{array.url}/deviceManager/rest/'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(method, self.root + path, json=body, timeout=10)

    def try_login(self, password: str | None = None, scope: str = '0') -> dict[str, Any]:
        """The whole answer."""
        who = {'username': self.array.username, 'password': password or self.array.password, 'scope': scope}
        answer: dict[str, Any] = self.session.post(f'{self.anybody}xxxxx/sessions', json=who, timeout=10).json()
        return answer

    def login(self) -> Self:
        told = self.try_login()
        assert told['error']['code'] in (0, '0'), told
        self.session.headers['iBaseToken'] = told['data']['iBaseToken']
        self.root = f'{self.anybody}{told["data"]["deviceid"]}/'
        return self

    def ask(self, path: str, method: str = 'GET', body: Any = None) -> dict[str, Any]:
        answer: dict[str, Any] = self.send(method, path, body).json()
        return answer

    def code(self, path: str, method: str = 'GET', body: Any = None) -> int:
        return int(self.ask(path, method, body)['error']['code'])

    def data(self, path: str, method: str = 'GET', body: Any = None) -> Any:
        """What came with success; None if nothing did."""
        answer = self.ask(path, method, body)
        assert answer['error']['code'] in (0, '0'), (path, answer)
        return answer.get('data')

    def every(self, path: str, size: int = 100) -> list[dict[str, Any]]:
        """All pages."""
        found: list[dict[str, Any]] = []
        sign = '&' if '?' in path else '?'
        while True:
            page = self.data(f'{path}{sign}range=[{len(found)}-{len(found) + size}]') or []
            found += page
            if len(page) < size:
                return found


@contextmanager
def running(directory: Path, sizes: Sizes = FEW, **more: Any) -> Iterator[tuple[OceanStor, Client]]:
    """An array and somebody who is logged in."""
    with OceanStor(sizes=sizes, **more) as array:
        authority = directory / f'{array.port}.pem'
        authority.write_text(array.ca_pem)
        with Client(array, authority) as client:
            yield array, client.login()
