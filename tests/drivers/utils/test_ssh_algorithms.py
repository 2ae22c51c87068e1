# SPDX-License-Identifier: Apache-2.0
"""Arrays that know only old algorithms, with both lines of paramiko that Delfin allows: the one in this environment and
the one beside it, which another Python process takes first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import paramiko
import pytest

from delfin import cryptor, exception
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.server import Storwize
from tests.unit.support import ROOT

FEW = Sizes(volumes=4, pools=2, hosts=2)
BESIDE = Path(sys.prefix) / 'beside' / 'paramiko-4.0.0'
SECONDS = 60
# Lists volumes and reads a statistics file; or says what the driver says.
SCRIPT = '''
import json, sys
import paramiko
from delfin import cryptor, exception
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
ssh = json.load(sys.stdin)
driver = StorwizeDriver(storage_id='1', ssh={**ssh, 'password': cryptor.encode(ssh['password'])})
try:
    names = [row['name'] for row in driver.list_volumes(None)]
    newest = driver.get_latest_perf_timestamp(None)
    points = driver.collect_perf_metrics(
        None, '1', {'volume': {'iops': {}}}, newest - 300_000, newest)
    print(json.dumps([paramiko.__version__, len(names), len(points)]))
except exception.DelfinException as error:
    print(json.dumps([paramiko.__version__, type(error).__name__, error.msg]))
finally:
    driver.delete_storage(None)
'''


def section(array: Storwize, **more: Any) -> dict[str, Any]:
    return {'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password,
            'pub_key': array.host_key, **more}


def with_paramiko_4(array: Storwize, **more: Any) -> list[Any]:
    """What the script prints."""
    ran = subprocess.run([sys.executable, '-c', SCRIPT], input=json.dumps(section(array, **more)), text=True,
                         capture_output=True, timeout=SECONDS, cwd=ROOT, check=False, env={'PYTHONPATH': str(BESIDE)})
    assert ran.returncode == 0, ran.stderr
    answer: list[Any] = json.loads(ran.stdout)
    assert answer[0].startswith('4.')
    return answer[1:]


def ask(array: Storwize, **more: Any) -> str:
    """What the driver in this process says instead of the array's name."""
    ssh = section(array, **more)
    driver = StorwizeDriver(storage_id='1', ssh={**ssh, 'password': cryptor.encode(ssh['password'])})
    with pytest.raises(exception.DelfinException) as caught:
        driver.get_storage(None)
    return caught.value.msg


def test_the_switch_lets_old_arrays_in_with_paramiko_4_and_is_off_without() -> None:
    with Storwize(sizes=FEW, algorithms='old') as array:
        assert with_paramiko_4(array, old_algorithms=True) == [4, 4]
        kind, words = with_paramiko_4(array)
        assert kind == 'SSHException' and '"old_algorithms": true' in words
        assert array.logins == 1


def test_paramiko_4_asks_modern_arrays_as_paramiko_5_does() -> None:
    with Storwize(sizes=FEW) as array:
        assert with_paramiko_4(array) == [4, 4]


@pytest.mark.skipif(paramiko.__version__.startswith('4.'), reason='an environment with paramiko 4')
def test_paramiko_5_says_in_one_line_that_it_has_none() -> None:
    with Storwize(sizes=FEW, algorithms='old') as array:
        words = ask(array, old_algorithms=True)
        assert 'ssh.old_algorithms of 127.0.0.1 needs paramiko 4' in words and '\n' not in words
        assert '"old_algorithms": true' in ask(array)
        assert array.connections <= 2       # the switch alone did not even connect


def test_the_switch_is_a_switch() -> None:
    with Storwize(sizes=FEW) as array, pytest.raises(exception.InvalidInput, match='true or false'):
        StorwizeDriver(storage_id='1', ssh=section(array, old_algorithms='yes'))
