# SPDX-License-Identifier: Apache-2.0
"""delfin-api: the REST API in worker processes of granian."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from granian import Granian
from granian.constants import Interfaces

from delfin import exception, service
from delfin.common import config

PROG = 'delfin-api'
_ARGUMENTS = 'DELFIN_API_ARGUMENTS'     # how the workers, fresh processes, learn the command line
_BACKPRESSURE = 512                     # requests a worker holds before it stops taking more

LOG = logging.getLogger(__name__)


def main() -> None:
    """Console entry point. Everything is checked here, lest a bad configuration make worker after worker die."""
    try:
        conf, masker = service.prepare(sys.argv[1:], PROG)
        with service.parts(conf, masker, embedded=False) as parts:
            from delfin.api.server import application, check_address
            application(parts)
            check_address(conf)
    except exception.InvalidConfiguration as error:
        service.leave(config.fail(PROG, error))
    os.environ[_ARGUMENTS] = json.dumps(sys.argv[1:])
    LOG.info('REST API on http://%s:%d/v1', conf.api.host, conf.api.port)
    Granian(
        'delfin.cmd.api:worker', factory=True, interface=Interfaces.WSGI, address=conf.api.host, port=conf.api.port,
        workers=conf.api.workers, blocking_threads=conf.api.threads, backpressure=_BACKPRESSURE,
        workers_kill_timeout=conf.shutdown_timeout_seconds, respawn_failed_workers=True, log_access=False,
        websockets=False,
    ).serve()
    LOG.info('stopped')


def worker() -> Any:
    """The application of one worker process."""
    from delfin.api.server import application

    conf, masker = service.prepare(json.loads(os.environ[_ARGUMENTS]), PROG)
    return application(service.make_parts(conf, masker))


if __name__ == '__main__':
    main()
