# SPDX-License-Identifier: Apache-2.0
"""A private Prometheus Alertmanager."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.engines.base import Engine

# Its one receiver notifies nobody; its name tells this server from another one on the same port.
_CONFIG = """\
route:
  receiver: {mark}
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: {mark}
"""
_RECEIVED = re.compile(
    r'^alertmanager_alerts_received_total\{status="(\w+)",version="v2"\} (\S+)$', re.MULTILINE
)


class Alertmanager(Engine):
    """Without a cluster. It keeps alerts in memory only: they are gone after a restart, as they
    are wherever one runs."""

    name: ClassVar[str] = 'Alertmanager'
    package: ClassVar[str] = 'prometheus-alertmanager'
    programs: ClassVar[tuple[str, ...]] = ('prometheus-alertmanager',)

    @property
    def url(self) -> str:
        """What an exporter is configured with: `http://127.0.0.1:…`."""
        return f'http://127.0.0.1:{self.port}'

    def alerts(self, **parameters: str | bool) -> list[dict[str, Any]]:
        """GET /api/v2/alerts, with parameters such as `active=False`, `silenced=False` or
        `filter='severity="Major"'`. An alert whose `endsAt` is past is not in the list."""
        query = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in parameters.items()
        }
        found: list[dict[str, Any]] = json.loads(self._get(f'/api/v2/alerts?{urlencode(query)}'))
        return found

    def received(self) -> dict[str, int]:
        """How many alerts were posted since the start, by what they were: `firing`, `resolved`."""
        return {status: int(float(number)) for status, number in _RECEIVED.findall(self._get('/metrics'))}

    def commands(self) -> list[list[str]]:
        config = self.write('alertmanager.yml', _CONFIG.format(mark=self._mark))
        server = [
            self.program('prometheus-alertmanager'),
            f'--config.file={config}',
            f'--storage.path={self.home / "data"}',
            f'--web.listen-address=127.0.0.1:{self.port}',
            '--cluster.listen-address=',
        ]
        return [server]

    def check(self) -> None:
        self._get('/-/ready')
        config = json.loads(self._get('/api/v2/status'))['config']['original']
        if self._mark not in config:
            raise ConnectionError(f'port {self.port} belongs to a server with other receivers: {config}')

    @property
    def _mark(self) -> str:
        return self.directory.name

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=5)
        try:
            connection.request('GET', path)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise ConnectionError(f'GET {path} is answered with {answer.status}: {text}')
        return text
