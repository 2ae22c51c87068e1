# SPDX-License-Identifier: Apache-2.0
"""Log lines: the short way writes what oslo.log would, and batches neither lose nor reorder them."""

from __future__ import annotations

import logging
import os
import sys
import threading

import pytest
from oslo_config import cfg
from oslo_context import context as contexts
from oslo_log import formatters, log

from delfin.common import logs
from delfin.context import RequestContext


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf.set_default('logging_context_format_string', logs.FORMAT)
    conf([])
    return conf


@pytest.fixture
def no_request():
    yield
    contexts._request_store.__dict__.pop('context', None)


class Lines(logging.Handler):
    """Keeps what it is given to write; waits for `open` before it writes."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.written = threading.Event()

    def emit(self, record):
        self.lines.append((record.levelname, record.getMessage(), record.__dict__.get('context')))
        self.written.set()


def record(level=logging.INFO, message='%s of %d', args=('one', 2), exc_info=None):
    return logging.LogRecord('delfin.some.where', level, __file__, 1, message, args, exc_info)


@pytest.mark.parametrize('level', [logging.DEBUG, logging.INFO, logging.WARNING])
@pytest.mark.parametrize('context', [
    None, {}, {'storage_id': 's-1'}, {'request_id': 'req-from-outside'}], ids=str)
def test_the_short_way_writes_what_oslo_log_writes(conf, no_request, level, context):
    if context is not None:
        RequestContext(**context).update_store()
    line = record(level)
    theirs = formatters.ContextFormatter(config=conf, project='delfin', version='1', datefmt=conf.log_date_format)
    assert logs.Formatter(conf, 'delfin', '1').format(line) == theirs.format(line)


def test_a_traceback_is_in_the_line(conf, no_request):
    RequestContext().update_store()
    try:
        raise ValueError('the reason')
    except ValueError:
        line = record(exc_info=sys.exc_info())
    assert 'ValueError: the reason' in logs.Formatter(conf, 'delfin', '1').format(line)


def test_the_operators_format_wins(conf, no_request):
    conf.set_override('logging_context_format_string', 'MINE %(message)s')
    RequestContext().update_store()
    assert logs.Formatter(conf, 'delfin', '1').format(record()) == 'MINE one of 2'


def test_ordinary_lines_are_written_soon_without_another_line():
    target = Lines()
    batches = logs.Batches(target)
    batches.handle(record())
    assert target.written.wait(5)


def test_a_warning_is_written_at_once_after_all_lines_before_it():
    target = Lines()
    batches = logs.Batches(target)
    for number in range(3):
        batches.handle(record(args=('line', number)))
    batches.handle(record(logging.WARNING, 'bad', ()))
    assert [message for _, message, _ in target.lines] == ['line of 0', 'line of 1', 'line of 2', 'bad']


def test_a_line_belongs_to_the_request_that_wrote_it(no_request):
    target = Lines()
    batches = logs.Batches(target)
    first = RequestContext()
    first.update_store()
    batches.handle(record())
    RequestContext().update_store()
    batches.flush()
    assert [context for _, _, context in target.lines] == [first]


def test_a_line_says_what_was_so_when_it_was_written():
    target = Lines()
    batches = logs.Batches(target)
    changing = ['before']
    batches.handle(record(message='%s', args=(changing,)))
    changing[0] = 'after'
    batches.flush()
    assert target.lines[0][1] == "['before']"


def test_closing_writes_the_rest():
    target = Lines()
    batches = logs.Batches(target)
    batches.handle(record())
    batches.close()
    assert len(target.lines) == 1


def test_a_forked_process_writes_its_lines(tmp_path):
    file = tmp_path / 'log'
    batches = logs.Batches(logging.FileHandler(file))
    child = os.fork()
    if not child:
        batches.handle(record(message='from the child', args=()))
        while not file.read_text():
            os.sched_yield()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert 'from the child' in file.read_text()
