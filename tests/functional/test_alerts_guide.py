# SPDX-License-Identifier: Apache-2.0
"""docs/alerts.md does what it says: its console blocks are run in one shell against a real delfin-all, with net-snmp.

How blocks are written: see test_rest_guide.py. The table of reasons is the code's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from delfin.alert_manager.rejected import Reason
from delfin.alerts import STATES
from tests.checkouts import ROOT
from tests.engines.snmp import free_udp_ports
from tests.functional.test_rest_contract import expect
from tests.functional.test_rest_guide import ADDRESS, Step, claimed, pattern, steps
from tests.services import Site

GUIDE = ROOT / 'docs' / 'alerts.md'
TRAP_ADDRESS = '127.0.0.1:1162'     # what the guide says instead of the address at hand
STEPS = steps(GUIDE)
SECONDS = 300

_MISSING = [name for name in ('bash', 'curl', 'snmptrap', 'snmpinform') if not shutil.which(name)]

pytestmark = [pytest.mark.timeout(SECONDS + 30)]


@pytest.fixture(scope='module')
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, tuple[int, str]]]:
    """Exit code and output of every step, by its line."""
    if _MISSING:
        message = f'missing: {", ".join(_MISSING)}; apt-get install snmp curl'
        if os.environ.get('DELFIN_REQUIRE_ENGINES') == '1':
            pytest.fail(f'{message} (DELFIN_REQUIRE_ENGINES=1)', pytrace=False)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp('guide')
    listen = f'127.0.0.1:{free_udp_ports()[0]}'
    site = Site(folder / 'site', alerts={'listen': listen})
    with site.start() as process:
        url = process.ready().client.url
        script = folder / 'guide.sh'
        script.write_text(''.join(f'{{\n{step.command}\n}} > {step.line}.out 2>&1\necho $? > {step.line}.code\n'
                                  for step in STEPS).replace(ADDRESS, url).replace(TRAP_ADDRESS, listen), 'utf-8')
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])      # a python3 is there
        # The folder keeps net-snmp's files, and nobody's configuration of it is read.
        environment = {'PATH': path, 'no_proxy': '*', 'LC_ALL': 'C.UTF-8', 'HOME': str(folder), 'MIBS': '',
                       'SNMPCONFPATH': str(folder), 'SNMP_PERSISTENT_DIR': str(folder / 'snmp')}
        subprocess.run(['bash', '-o', 'pipefail', str(script)], cwd=folder, check=True, timeout=SECONDS,
                       stdin=subprocess.DEVNULL, env=environment)
        yield {step.line: (int((folder / f'{step.line}.code').read_text()), (folder / f'{step.line}.out').read_text())
               for step in STEPS}
        assert process.stop() == 0


@pytest.mark.parametrize('step', STEPS, ids=lambda step: f'line-{step.line}')
def test_the_guide_shows_what_happens(outputs: dict[int, tuple[int, str]], step: Step) -> None:
    code, output = outputs[step.line]
    assert code == 0, output
    text = step.answer
    if text.startswith(('{"', '[')):
        expected, text = claimed(text)
        found, end = json.JSONDecoder().raw_decode(output)
        expect(expected, found)
        output = output[end:]
    if step.answer:
        assert pattern(text.strip('\n')).fullmatch(output.rstrip('\n')), output


def test_the_guide_has_something_to_run() -> None:
    assert len(STEPS) > 30
    assert sum('snmptrap ' in step.command or 'snmpinform ' in step.command for step in STEPS) > 4


def test_every_reason_for_which_messages_are_refused_is_explained() -> None:
    assert set(_first_column('Reason')) == set(get_args(Reason))


def test_every_state_is_explained() -> None:
    assert set(_first_column('State')) == set(STATES)


def _first_column(title: str) -> list[str]:
    """What stands between backquotes in the first column of the table with this title."""
    table = re.split(rf'^\| {title} \|.*\n', GUIDE.read_text('utf-8'), maxsplit=1, flags=re.M)[1].partition('\n\n')[0]
    return re.findall(r'^\| `(\w+)` \|', table, re.M)
