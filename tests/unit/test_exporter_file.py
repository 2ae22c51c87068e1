# SPDX-License-Identifier: Apache-2.0
"""The exporter of metrics `file`: what is delivered is in the files, whatever happens in between."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import logging
import os
import resource
import signal
import stat
import subprocess
import sys

import pytest

from delfin import exception
from delfin.exporter.base_exporter import DeliveryFailed
from delfin.exporter.file import JsonLinesExporter
from tests.unit.exporter_support import measured
from tests.unit.support import ROOT

SMALL = 800         # bytes; room for three lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'metrics' / 'metrics.jsonl'


@pytest.fixture
def exporter(conf):
    """With the defaults."""
    return JsonLinesExporter.create(conf)


@pytest.fixture
def small(exporter, path):
    """`small()`: files of three lines."""
    def make(keep_files=100, *, compress=False):
        return JsonLinesExporter(path, SMALL, keep_files, compress=compress)
    return make


def times_of(*paths):
    """The times of all points, oldest file first."""
    lines = [line for path in paths for line in (
        gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()).splitlines(keepends=True)]
    assert all(line.endswith(b'\n') for line in lines)
    return [at for line in lines for at, _ in json.loads(line)['points']]


def files(path):
    """Full files, oldest first, and the one that is written."""
    return [*sorted(each for each in path.parent.iterdir() if each != path), path]


def names(path):
    return sorted(each.name for each in path.parent.iterdir())


@contextlib.contextmanager
def full_disk(size):
    """No file of this process grows beyond this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- lines ---

def test_each_series_is_a_line_with_all_its_points(exporter, path):
    exporter.dispatch(None, [measured()._replace(values={1000: 7.0, 2000: 8}), measured(resource_id='vol-2')])
    first, second = path.read_text().splitlines()
    assert json.loads(first) == {
        'version': '1', 'metric': 'readIops', 'type': 'RAW', 'unit': 'IOPS',
        'storage': {'id': 'array-1', 'name': 'Array 1', 'vendor': 'Example', 'model': 'X1', 'serial_number': 'SN-1'},
        'resource': {'type': 'volume', 'id': 'vol-1', 'name': 'db01'}, 'points': [[1000, 7.0], [2000, 8]]}
    assert json.loads(second)['resource']['id'] == 'vol-2'


def test_a_resource_without_a_name_has_none(exporter, path):
    series = measured()
    del series.labels['resource_name']
    exporter.dispatch(None, [series])
    assert json.loads(path.read_text())['resource'] == {'type': 'volume', 'id': 'vol-1', 'name': None}


def test_what_arrays_call_things_cannot_begin_a_line(exporter, path):
    exporter.dispatch(None, [measured(resource_name='db\n{"version": "1"}\u2028\x85')])
    assert path.read_bytes().count(b'\n') == 1


def test_lines_are_appended_to_what_is_there(conf, exporter, path):
    exporter.dispatch(None, [measured(at=1)])
    JsonLinesExporter.create(conf).dispatch(None, [measured(at=2)])
    assert times_of(path) == [1, 2]


def test_others_cannot_read_the_file(exporter, path):
    exporter.dispatch(None, [measured()])
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o640, 0o750)


def test_nothing_to_tell_makes_no_file(exporter, path):
    exporter.dispatch(None, [])
    assert names(path) == []


def test_a_file_that_somebody_moved_away_is_begun_anew(exporter, path):
    """As logrotate does."""
    exporter.dispatch(None, [measured(at=1)])
    path.rename(path.with_name('away'))
    exporter.dispatch(None, [measured(at=2)])
    assert times_of(path) == [2]


# --- files take turns ---

def test_a_full_file_gets_a_number_and_keeps_it(small, path):
    exporter = small()
    for at in range(1, 9):
        exporter.dispatch(None, [measured(at=at)])
    assert names(path) == ['metrics.000001.jsonl', 'metrics.000002.jsonl', 'metrics.jsonl']
    assert times_of(*files(path)) == list(range(1, 9))
    assert all(each.stat().st_size <= SMALL for each in files(path))


def test_what_is_delivered_at_once_is_in_one_file(small, path):
    exporter = small()
    exporter.dispatch(None, [measured(at=1)])
    exporter.dispatch(None, [measured(at=at) for at in range(2, 7)])
    assert [times_of(each) for each in files(path)] == [[1], [2, 3, 4, 5, 6]]


def test_old_files_are_deleted(small, path):
    exporter = small(keep_files=2)
    for at in range(1, 16):
        exporter.dispatch(None, [measured(at=at)])
    assert names(path) == ['metrics.000003.jsonl', 'metrics.000004.jsonl', 'metrics.jsonl']


def test_files_of_others_are_left_alone(small, path):
    (path.parent / 'metrics.2026.jsonl').touch()
    (path.parent / 'metrics.000001.jsonl.bak').touch()
    exporter = small(keep_files=1)
    for at in range(1, 9):
        exporter.dispatch(None, [measured(at=at)])
    assert {'metrics.2026.jsonl', 'metrics.000001.jsonl.bak'} < set(names(path))


def test_full_files_are_compressed_if_that_is_wanted(small, path):
    exporter = small(compress=True)
    for at in range(1, 9):
        exporter.dispatch(None, [measured(at=at)])
    assert names(path) == ['metrics.000001.jsonl.gz', 'metrics.000002.jsonl.gz', 'metrics.jsonl']
    assert times_of(*files(path)) == list(range(1, 9))
    assert stat.S_IMODE((path.parent / 'metrics.000001.jsonl.gz').stat().st_mode) == 0o640


def test_a_file_that_cannot_be_compressed_stays_and_nothing_is_lost(small, path, caplog):
    exporter = small(compress=True)
    (path.parent / 'metrics.000001.jsonl.gz.part').mkdir()      # in the way
    for at in range(1, 5):
        exporter.dispatch(None, [measured(at=at)])
    assert 'old files could not be put in order' in caplog.text
    assert times_of(path.parent / 'metrics.000002.jsonl', path) == [1, 2, 3, 4]


# --- crashes ---

def test_half_a_line_is_cut_off_and_its_points_come_again(conf, exporter, path, caplog):
    exporter.dispatch(None, [measured(at=1), measured(at=2)])
    with path.open('r+b') as file:
        file.truncate(path.stat().st_size - 5)
    JsonLinesExporter.create(conf).dispatch(None, [measured(at=2)])
    assert times_of(path) == [1, 2]
    assert 'the last line was incomplete' in caplog.text


@pytest.mark.parametrize('torn', [b'{"ver', b'x' * 200_000, b'\0' * 70_000])
def test_whatever_a_crash_leaves_behind_the_last_line_is_cut_off(exporter, path, torn):
    exporter.dispatch(None, [measured(at=1)])
    with path.open('ab') as file:
        file.write(torn)
    exporter.dispatch(None, [measured(at=2)])
    assert times_of(path) == [1, 2]


def test_a_file_with_nothing_but_half_a_line_is_emptied(exporter, path):
    path.write_bytes(b'{' * 100_000)
    exporter.dispatch(None, [measured(at=1)])
    assert times_of(path) == [1]


CHILD = '''
import json, pathlib, sys
from delfin.common.constants import metric_struct
from delfin.exporter.file import JsonLinesExporter
labels = json.loads(sys.argv[3])
exporter = JsonLinesExporter(pathlib.Path(sys.argv[1]), int(sys.argv[2]), 100, compress=True)
for at in range(1, 9):
    exporter.dispatch(None, [metric_struct('readIops', labels, {at: 7.0})])
    print(at, flush=True)
'''


@pytest.mark.parametrize('moment', ['written=kill:3', 'renamed=kill:2', 'compressed=kill:2'])
def test_a_process_that_is_killed_loses_nothing_that_was_delivered(small, path, moment):
    path.parent.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, '-c', CHILD, str(path), str(SMALL), json.dumps(measured().labels)],
                          capture_output=True, text=True, cwd=ROOT, timeout=60,
                          env={**os.environ, 'DELFIN_FAILPOINTS': f'metrics_file.{moment}'})
    assert done.returncode == -signal.SIGKILL, done.stderr
    last = int(done.stdout.split()[-1])
    exporter = small(compress=True)
    for at in range(last + 1, 12):
        exporter.dispatch(None, [measured(at=at)])
    assert sorted(set(times_of(*files(path)))) == list(range(1, 12))
    assert all(name.endswith('.gz') for name in names(path) if name != 'metrics.jsonl')


# --- disks ---

def test_a_full_disk_is_said_and_leaves_no_half_line(exporter, path):
    exporter.dispatch(None, [measured(at=1)])
    with full_disk(path.stat().st_size + 100), pytest.raises(DeliveryFailed, match=f'{path}: File too large'):
        exporter.dispatch(None, [measured(at=2), measured(at=3)])
    assert times_of(path) == [1]


def test_it_goes_on_when_the_disk_has_room_again(exporter, path):
    with full_disk(100), pytest.raises(DeliveryFailed):
        exporter.dispatch(None, [measured(at=1)])
    exporter.dispatch(None, [measured(at=1)])
    assert times_of(path) == [1]


def test_no_room_says_what_to_do(exporter, path, monkeypatch):
    """The kernel's own answer: /dev/full never has any."""
    full = os.open('/dev/full', os.O_WRONLY)
    monkeypatch.setattr('os.write', lambda file, data, write=os.write: write(full, data))
    try:
        with pytest.raises(DeliveryFailed, match='No space left on device; make room there'):
            exporter.dispatch(None, [measured()])
    finally:
        monkeypatch.undo()
        os.close(full)
    assert path.stat().st_size == 0


# --- other writers ---

def test_two_writers_do_not_mix_their_lines(conf, exporter, path):
    """One that was given up, for example because its disk hung, may still be at work."""
    exporter.dispatch(None, [measured(at=1)])
    with path.open('ab') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"half')
        file.flush()
        with pytest.raises(DeliveryFailed, match='is being written by somebody else'):
            JsonLinesExporter.create(conf).dispatch(None, [measured(at=2)])
        file.write(b'": 1, "points": [[5, 1]]}\n')
    JsonLinesExporter.create(conf).dispatch(None, [measured(at=2)])
    assert times_of(path) == [1, 5, 2]


# --- configuration ---

def test_the_file_may_be_elsewhere(conf, tmp_path):
    conf.set_override('path', str(tmp_path / 'a' / 'b' / 'points.log'), 'metrics_file')
    JsonLinesExporter.create(conf).dispatch(None, [measured()])
    assert (tmp_path / 'a' / 'b' / 'points.log').is_file()


@pytest.mark.parametrize(('path', 'reason'), [
    ('metrics.jsonl', r'\[metrics_file\] path must be an absolute path'),
    ('{tmp}', r'\[metrics_file\] path: .* is no ordinary file'),
    ('/dev/null', 'is no ordinary file'),
    ('{tmp}/delfin.conf/metrics.jsonl', r'\[metrics_file\] path: (Not a directory|File exists)'),
    ('/proc/metrics/metrics.jsonl', r'\[metrics_file\] path: No such file or directory: '),
])
def test_what_cannot_work_is_told_at_the_start(conf, tmp_path, path, reason):
    conf.set_override('path', path.format(tmp=tmp_path), 'metrics_file')
    with pytest.raises(exception.InvalidConfiguration, match=reason):
        JsonLinesExporter.create(conf)


def test_a_line_in_the_log_for_what_was_cut_off_does_not_quote_it(exporter, path, caplog):
    caplog.set_level(logging.DEBUG)
    path.write_bytes(b'what was measured')
    exporter.dispatch(None, [measured()])
    assert '(17 bytes)' in caplog.text and 'what was measured' not in caplog.text
