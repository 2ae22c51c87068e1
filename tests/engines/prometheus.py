# SPDX-License-Identifier: Apache-2.0
"""A private Prometheus, and its tool promtool."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.engines.base import Engine

_CONFIG = """\
global:
  scrape_interval: {seconds:g}s
  scrape_timeout: {seconds:g}s
  evaluation_interval: {seconds:g}s
  external_labels:
    mark: {mark}
scrape_configs: {scrapes}
rule_files: {rules}
storage:
  tsdb:
    out_of_order_time_window: {late}
"""


class Prometheus(Engine):
    """Takes remote write. `scrape` says what it scrapes; it has nothing to scrape at first."""

    name: ClassVar[str] = 'Prometheus'
    package: ClassVar[str] = 'prometheus'
    programs: ClassVar[tuple[str, ...]] = ('prometheus', 'promtool')

    scrape_seconds: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._scrapes: Sequence[dict[str, Any]] = ()
        self._rules: Sequence[str] = ()
        self._late = '0s'

    @property
    def url(self) -> str:
        """`http://127.0.0.1:…`."""
        return f'http://127.0.0.1:{self.port}'

    def configure(self, scrapes: Sequence[dict[str, Any]] = (), rules: Sequence[str] = (), late: str = '0s') -> None:
        """Scrape this from now on (entries of `scrape_configs`), evaluate the rules of these files, and take points
        that are so late.
        """
        self._scrapes, self._rules, self._late = scrapes, rules, late
        self._write()
        self._ask('POST', '/-/reload')

    def query(self, expression: str, **parameters: str | float) -> list[dict[str, Any]]:
        """The result of an instant query: `[{'metric': {…}, 'value': [time, '1.5']}]`."""
        text = self._ask('GET', f'/api/v1/query?{urlencode({"query": expression, **parameters})}')
        answer = json.loads(text)
        if answer['status'] != 'success' or answer.get('warnings'):
            raise ConnectionError(f'{expression}: {text}')
        found: list[dict[str, Any]] = answer['data']['result']
        return found

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, with `health` and `lastError`."""
        found: list[dict[str, Any]] = json.loads(self._ask('GET', '/api/v1/targets'))['data']['activeTargets']
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The rules, with `health` and `lastError`."""
        groups = json.loads(self._ask('GET', '/api/v1/rules'))['data']['groups']
        return [rule for group in groups for rule in group['rules']]

    def warnings(self) -> list[str]:
        """What it complains of in its log."""
        return [line for line in self.log_tail(2000).splitlines() if 'level=warn' in line or 'level=error' in line]

    def promtool(self, *arguments: str, stdin: str = '') -> str:
        """What promtool says; EngineError when it finds something wrong."""
        return self.run([self.program('promtool'), *arguments], stdin=stdin)

    def commands(self) -> list[list[str]]:
        config = self._write()
        server = [
            self.program('prometheus'),
            f'--config.file={config}',
            f'--storage.tsdb.path={self.home / "data"}',
            f'--web.listen-address=127.0.0.1:{self.port}',
            '--web.enable-remote-write-receiver',
            '--web.enable-lifecycle',
        ]
        return [server]

    def check(self) -> None:
        self._ask('GET', '/-/ready')
        config = json.loads(self._ask('GET', '/api/v1/status/config'))['data']['yaml']
        if self.directory.name not in config:
            raise ConnectionError(f'port {self.port} belongs to another server: {config}')

    def _write(self) -> Any:
        # JSON is YAML.
        return self.write('prometheus.yml', _CONFIG.format(
            seconds=self.scrape_seconds, mark=self.directory.name, scrapes=json.dumps(list(self._scrapes)),
            rules=json.dumps(list(self._rules)), late=self._late))

    def _ask(self, method: str, path: str) -> str:
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise ConnectionError(f'{method} {path} is answered with {answer.status}: {text}')
        return text
