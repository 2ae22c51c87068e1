# SPDX-License-Identifier: Apache-2.0
"""The exporter of metrics `file`: a JSON object for each series, one a line, in files that take turns.

`metrics.jsonl` is written; full, it becomes `metrics.000001.jsonl` by one rename and is never written again. So a
moment at which the process dies costs nothing but, perhaps, half of the last line, which is cut off later.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from oslo_config import cfg

from delfin import exception, failpoints
from delfin.common import json
from delfin.common.constants import metric_struct
from delfin.context import RequestContext
from delfin.exporter import documents
from delfin.exporter.base_exporter import DeliveryFailed, PerformanceExporterBase

LOG = logging.getLogger(__name__)

_MODE = 0o640
_BLOCK = 1 << 16
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class JsonLinesExporter(PerformanceExporterBase):
    """Appends lines to `path`; what is delivered is on the disk."""

    def __init__(self, path: Path, max_bytes: int, keep_files: int, *, compress: bool) -> None:
        self._path, self._max_bytes, self._keep, self._compress = path, max_bytes, keep_files, compress
        self._rotated_name = re.compile(
            rf'{re.escape(path.stem)}\.(?P<number>[0-9]{{6,}}){re.escape(path.suffix)}(?P<form>|\.gz|\.gz\.part)')
        self._is_tidy = False

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        options = conf.metrics_file
        path = Path(options.path or Path(conf.state_path) / 'metrics' / 'metrics.jsonl')
        if not path.is_absolute():
            raise exception.InvalidConfiguration('[metrics_file] path must be an absolute path')
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            wrong = path.exists() and not path.is_file()
        except OSError as error:
            raise exception.InvalidConfiguration(f'[metrics_file] path: {error.strerror}: {error.filename}') from None
        if wrong:
            raise exception.InvalidConfiguration(f'[metrics_file] path: {path} is no ordinary file')
        for place, rights in ((path.parent, os.W_OK | os.X_OK), (path, os.R_OK | os.W_OK)):
            if place.exists() and not os.access(place, rights):
                raise exception.InvalidConfiguration(
                    f'[metrics_file] path: {place} is not writable; give it to the user of the service')
        return cls(path, options.max_mb << 20, options.keep_files, compress=options.compress)

    def dispatch(self, ctxt: RequestContext, data: list[metric_struct]) -> None:
        """See the base class."""
        lines = b''.join(json.dumps(documents.series(series)) + b'\n' for series in data)
        if not lines:
            return
        try:
            self._write(lines)
        except OSError as error:
            advice = '; make room there' if error.errno in _FULL else ''
            raise DeliveryFailed(f'{self._path}: {error.strerror}{advice}') from None

    def _write(self, lines: bytes) -> None:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(_opened(self._path))
            size = _mended(file, self._path)
            if size and size + len(lines) > self._max_bytes:
                self._rotate()
                file, size = stack.enter_context(_opened(self._path)), 0
            _append(file, size, lines)
            if size == 0:
                _sync_names(self._path.parent)
            if not self._is_tidy:
                self._tidy()

    # --- rotation ---

    def _rotate(self) -> None:
        """Give the file that is full its last name."""
        number = max(self._rotated(), default=0) + 1
        os.rename(self._path, self._named(number))
        self._is_tidy = False
        failpoints.hit('metrics_file.renamed')

    def _named(self, number: int, form: str = '') -> Path:
        return self._path.with_name(f'{self._path.stem}.{number:06d}{self._path.suffix}{form}')

    def _rotated(self) -> dict[int, set[str]]:
        """Numbers that are taken, each in the forms that there are: '', '.gz', '.gz.part'."""
        found: dict[int, set[str]] = {}
        for name in os.listdir(self._path.parent):
            match = self._rotated_name.fullmatch(name)
            if match:
                found.setdefault(int(match['number']), set()).add(match['form'])
        return found

    def _tidy(self) -> None:
        """Delete what is too old and compress the rest. The points are safe by now, so what fails is only logged."""
        try:
            rotated = sorted(self._rotated().items())
            old = max(0, len(rotated) - self._keep)
            for number, forms in rotated[:old]:
                for form in forms:
                    self._named(number, form).unlink()
            for number, forms in rotated[old:]:
                if '.gz.part' in forms:
                    self._named(number, '.gz.part').unlink()
                packed = '.gz' in forms
                if self._compress and not packed:
                    _compress(self._named(number), self._named(number, '.gz.part'), self._named(number, '.gz'))
                    packed = True
                if packed and '' in forms:
                    self._named(number).unlink()
        except OSError as error:
            LOG.warning('%s: old files could not be put in order, the next rotation tries again: %s', self._path,
                        error.strerror)
        self._is_tidy = True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The file at `path`, nobody else's until it is closed. A writer that was given up may still be at work."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeliveryFailed(f'{path} is being written by somebody else; each node needs a file of its '
                                     'own ([metrics_file] path)') from None
            if _is_at(file, path):      # otherwise the other writer has just rotated it
                yield file
                return
        finally:
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _mended(file: int, path: Path) -> int:
    """Its size, after half a line at its end has been cut off."""
    size = os.fstat(file).st_size
    keep = _end_of_lines(file, size)
    if keep < size:
        os.ftruncate(file, keep)
        LOG.warning('%s: after a crash the last line was incomplete and is cut off (%d bytes); its points come again',
                    path, size - keep)
    return keep


def _end_of_lines(file: int, size: int) -> int:
    if size == 0 or os.pread(file, 1, size - 1) == b'\n':
        return size
    while size:
        begin = max(0, size - _BLOCK)
        at = os.pread(file, size - begin, begin).rfind(b'\n')
        if at >= 0:
            return begin + at + 1
        size = begin
    return 0


def _append(file: int, size: int, lines: bytes) -> None:
    """All of it, on the disk, or nothing."""
    left = memoryview(lines)
    try:
        while left:
            left = left[os.write(file, left):]
        failpoints.hit('metrics_file.written')
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):      # then the next call mends it
            os.ftruncate(file, size)
        raise


def _compress(source: Path, part: Path, target: Path) -> None:
    try:
        with source.open('rb') as plain, part.open('wb') as file:
            shutil.copystat(source, part)
            with gzip.GzipFile(filename='', mode='wb', fileobj=file, mtime=0) as packed:
                shutil.copyfileobj(plain, packed, _BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    os.rename(part, target)
    _sync_names(target.parent)
    failpoints.hit('metrics_file.compressed')


def _sync_names(directory: Path) -> None:
    """A name must not be lost in a crash when its file is not."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
