# SPDX-License-Identifier: Apache-2.0
"""The floor of one object over HTTP: `python -m tests.benchmarks.empty PORT`. See `single`.

The same server settings as `delfin.api.server` and `delfin.service`; no database, no filters, no log.
"""

from __future__ import annotations

import sys

import routes
import waitress
import webob
import webob.dec

_ROUTES = 60
_SWITCH_INTERVAL_SECONDS = 0.0005
_THREADS = 8


class Empty:
    """60 routes and one answer. Those that are asked for stand in the middle."""

    def __init__(self) -> None:
        self._mapper = routes.Mapper(controller_scan=None, register=False)
        self._mapper.minimization = False
        names = [f'kind-{number}' for number in range(_ROUTES - 2)]
        names[len(names) // 2:len(names) // 2] = ['volumes', 'storages']
        for name in names:
            self._mapper.connect(None, f'/v1/{name}/{{id}}', path=name)
        self._mapper.create_regs([])

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        """An empty object, or 404."""
        found = self._mapper.match(request.path_info)
        return webob.Response(status=404 if found is None else 200, content_type='application/json', charset='UTF-8',
                              body=b'{}')


if __name__ == '__main__':
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    waitress.serve(Empty(), host='127.0.0.1', port=int(sys.argv[1]), threads=_THREADS, ident='empty', _quiet=True,
                   connection_limit=1000, asyncore_use_poll=True, cleanup_interval=1,
                   clear_untrusted_proxy_headers=False)
