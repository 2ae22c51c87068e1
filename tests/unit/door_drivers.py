# SPDX-License-Identifier: Apache-2.0
"""Drivers that the tests of the door run in threads and in processes of their own. They are told what to do, and tell
what they have done, by files in the directory that their extra attribute `dir` names.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import requests

from delfin import cryptor, exception
from delfin.drivers.driver import StorageDriver
from tests.engines.base import wait_until

LOG = logging.getLogger(__name__)

SECRET = 's3cret-word'
_PATIENCE_SECONDS = 30


class Told(StorageDriver):
    """Tells of its construction, resets and log-outs; waits for files."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.given = kwargs
        self.dir = Path(kwargs['extra_attributes']['dir'])
        self.password = cryptor.decode(kwargs['rest']['password'])
        self.number = sum(line.startswith('built') for line in self.told()) + 1
        self.tell('built', self.number)

    def tell(self, *words):
        with (self.dir / 'told').open('a') as file:
            file.write(' '.join(map(str, words)) + '\n')

    def told(self):
        path = self.dir / 'told'
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, name):
        assert wait_until((self.dir / name).exists, _PATIENCE_SECONDS)

    def delete_storage(self, context):
        self.tell('left', self.number)

    def get_storage(self, context):
        return {'serial_number': 'SN-1', 'instance': self.number}

    def reset_connection(self, context, **kwargs):
        pass

    def list_storage_pools(self, context):
        return []

    def list_volumes(self, context):
        return []

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    def list_alerts(self, context, query_para=None):
        return []

    def clear_alert(self, context, sequence_number):
        pass


# --- rows that come ---

class Streaming(Told):
    def list_volumes(self, context):
        for number in range(200_000):
            yield {'native_volume_id': number, 'name': 'x' * 1000}

    def list_disks(self, context):
        """Rows, then a wait for the file `go`, then rows."""
        yield from range(3000)
        self.tell('waiting')
        self.wait_for('go')
        yield 'last'

    def list_ports(self, context):
        """Which thread makes the rows."""
        for _ in range(5000):
            yield threading.get_ident(), os.getpid()

    def list_controllers(self, context):
        """Rows without end; tells in which thread it began and was closed."""
        self.tell('began', threading.get_ident())
        try:
            while True:
                yield 'row'
        finally:
            self.tell('closed', threading.get_ident())

    def list_shares(self, context):
        yield from range(2500)
        raise requests.exceptions.ConnectionError(f'reset by {SECRET}')

    def list_volume_groups(self, context):
        return {'volume_groups': iter([1, 2]), 'vol_grp_vol_rels': [3]}

    def list_quotas(self, context):
        """How far it was ahead of the consumer, who counts what it has taken by the length of the file `taken`."""
        most = 0
        for number in range(30_000):
            if number % 100 == 0:
                most = max(most, number - (self.dir / 'taken').stat().st_size)
            yield number
        yield most


# --- sessions ---

class Session(Told):
    """`list_volumes` fails as often as the file `fail` has lines, each the name of an error below."""

    ERRORS = {
        'expired': lambda: exception.NotAuthorized(),
        'login': lambda: exception.InvalidUsernameOrPassword(),
        'connection': lambda: requests.exceptions.ConnectionError('reset'),
        'value': lambda: ValueError('x'),
        'refused': lambda: exception.StorageBackendException('no'),
    }

    def list_volumes(self, context):
        self.tell('asked', self.number)
        self._fail()
        return [self.number]

    def list_disks(self, context):
        yield 1
        self._fail()

    def _fail(self):
        lines = (self.dir / 'fail').read_text().split() if (self.dir / 'fail').exists() else []
        if lines:
            (self.dir / 'fail').write_text('\n'.join(lines[1:]))
            raise self.ERRORS[lines[0]]()

    def reset_connection(self, context, **kwargs):
        self.tell('reset', self.number, cryptor.decode(kwargs['rest']['password']), kwargs['verify'])


class ResetFails(Session):
    def reset_connection(self, context, **kwargs):
        raise RuntimeError('no')


class ResetHangs(Session):
    def reset_connection(self, context, **kwargs):
        self.tell('resetting', self.number)
        self.wait_for('go')


class NoReset(Session):
    reset_connection = None


# --- whatever third parties do ---

class Unpicklable(Exception):
    def __init__(self, lock, text):
        super().__init__(text)
        self.lock = lock

    def __reduce__(self):
        raise TypeError('not me')


class Text(str):
    """A text that does not survive plain pickling."""

    def __reduce__(self):
        raise TypeError('not me')


class Rude(Told):
    """Each method is another way to misbehave."""

    def list_volumes(self, context):
        os._exit(1)

    def list_disks(self, context):
        os.kill(os.getpid(), signal.SIGSEGV)
        self.wait_for('never')

    def list_ports(self, context):
        raise Unpicklable(threading.Lock(), f'a lock, {SECRET}')

    def list_controllers(self, context):
        return [threading.Lock()]

    def list_quotas(self, context):
        yield 1
        yield lambda: 2

    def list_filesystems(self, context):
        print(f'printed {SECRET}')
        print(f'complained {SECRET}', file=sys.stderr)
        os.write(1, b'written\n')
        return ['printed']

    def list_qtrees(self, context):
        threading.Thread(target=self.wait_for, args=('go',), daemon=False).start()
        return ['left a thread behind']

    def list_shares(self, context):
        sys.exit('goodbye')

    def list_alerts(self, context, query_para=None):
        raise ValueError(f'login with {SECRET} failed')

    def list_masking_views(self, context):
        return [{'name': Text('text'), 'size': query} for query in (1, 2.5, None)]

    def list_storage_hosts(self, context):
        LOG.warning('host %s of %s', SECRET, context.storage_id)
        LOG.debug('not wanted')
        return [os.getcwd(), logging.getLogger().getEffectiveLevel(), logging.getLogger('tests.quiet').level]

    def list_storage_host_initiators(self, context):
        os.closerange(3, 100)
        return ['closed everything']

    def list_port_groups(self, context):
        """A program of its own that outlives everybody unless somebody ends it."""
        program = subprocess.Popen(['sleep', '1000'])
        return {'pid': program.pid}

    def list_volume_groups(self, context):
        """Dies, but a program that it has started in another session lives on for a while."""
        os.posix_spawn('/bin/sleep', ['sleep', '20'], os.environ, setsid=True)
        os._exit(1)

    def list_all_again(self, context):
        """The same with a copy of itself."""
        if os.fork() == 0:
            os.setsid()
            signal.alarm(20)
            signal.pause()
        os._exit(1)

    def list_storage_host_groups(self, context):
        return {'cmdline': Path('/proc/self/cmdline').read_text(), 'environ': Path('/proc/self/environ').read_text(),
                'PYTHONPATH': os.environ.get('PYTHONPATH'), 'core': resource.getrlimit(resource.RLIMIT_CORE)[0]}

    def get_latest_perf_timestamp(self, context):
        return os.getpid()

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        return [cryptor.decode(resource_metrics['secret']), self.given['rest']['password'].startswith('delfin:'),
                json.dumps(self.given['extra_attributes']), self.given['verify']]


class Stuck(Told):
    """Hangs in every call until there is a file `go`; nobody can wake it sooner."""

    def list_volumes(self, context):
        self.tell('inside')
        self.wait_for('go')
        return ['late']

    def list_disks(self, context):
        """Holds the interpreter lock: nothing else runs in its process."""
        self.tell('inside')
        ctypes.PyDLL(None).sleep(_PATIENCE_SECONDS)


class Wide(Stuck):
    """Takes three calls at once."""

    MAX_CONCURRENT_CALLS = 3


class StuckAtOnce(Told):
    """Hangs in its constructor."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.wait_for('go')


class StuckAtTheEnd(Told):
    """Hangs when it should log out."""

    def delete_storage(self, context):
        self.wait_for('go')
