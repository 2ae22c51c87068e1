# SPDX-License-Identifier: Apache-2.0
"""We run on real threads. eventlet may be somebody's dependency, but nothing of ours imports or patches it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import delfin

SOURCES = sorted(Path(delfin.__file__).parent.rglob('*.py'))


def imports(source: Path) -> set[str]:
    """Top-level names of the modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition('.')[0])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, 'id', getattr(node.func, 'attr', ''))
            if name in ('__import__', 'import_module') and isinstance(node.args[0].value, str):
                found.add(node.args[0].value.partition('.')[0])
    return found


def test_the_scan_finds_the_sources():
    assert len(SOURCES) > 40


@pytest.mark.parametrize('source', SOURCES, ids=lambda path: str(path.relative_to(Path(delfin.__file__).parent)))
def test_no_module_imports_green_threads(source):
    assert not imports(source) & {'eventlet', 'gevent', 'greenlet'}


@pytest.mark.parametrize(('line', 'found'), [
    ('import eventlet.green', True), ('from eventlet import patcher', True), ("__import__('eventlet')", True),
    ("importlib.import_module('eventlet.hubs')", True), ('from . import eventlet', False), ('x = "eventlet"', False)])
def test_the_scan_would_notice(tmp_path, line, found):
    source = tmp_path / 'x.py'
    source.write_text(f'def f():\n    {line}\n')
    assert ('eventlet' in imports(source)) is found


def run(script):
    done = subprocess.run([sys.executable, '-W', 'error::DeprecationWarning:delfin', '-c', script],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.stderr.strip()


def test_threads_are_real_once_rpc_is_imported():
    script = ('import threading, socket, time; before = threading.Thread, socket.socket, time.sleep, threading.Lock\n'
              'import delfin.rpc\n'
              'print(before == (threading.Thread, socket.socket, time.sleep, threading.Lock),'
              ' threading.Thread.__module__, type(threading.Lock()).__module__)')
    assert run(script)[0] == 'True threading _thread'


def test_oslo_service_runs_on_threads():
    script = 'import delfin.rpc; from oslo_service import backend; print(backend.get_backend_type().value)'
    assert run(script)[0] == 'threading'


def test_no_service_imports_through_somebody_else_what_it_does_not_use():
    """Green threads would be wrong; the others would make each start longer."""
    script = ('import sys, delfin.alert_manager.service, delfin.task_manager.service, delfin.api.server\n'
              'import delfin.cmd.manage, oslo_messaging._drivers.impl_rabbit\n'
              'from delfin.drivers.manager import DriverManager\n'
              'print(len(DriverManager().listing()) > 3, "paramiko" in sys.modules, {name.partition(".")[0]\n'
              '      for name in sys.modules} & {"eventlet", "gevent", "alembic", "invoke"})')
    assert run(script)[0] == 'True True set()'


def test_a_driver_may_import_what_we_do_without():
    assert run('import delfin.rpc, sys; print("eventlet" in sys.modules); import eventlet')[0] == 'False'


def test_importing_rpc_is_silent():
    """Somebody's deprecated dependency is not the operator's business."""
    assert run('import delfin.rpc') == ('', '')
