# SPDX-License-Identifier: Apache-2.0
"""Delfin's speed against floors that are measured in the same run.

    python -m tests.benchmarks [--engines sqlite,postgresql,mariadb] [--rounds 40] [--write]

Milliseconds depend on the machine, ratios hardly do. Each comparison therefore measures Delfin and its floor in turns,
on the same data and connection pool, and gives medians and their ratio:

1. *A list*: 1,000 of 100,000 volumes through the whole pipeline in process, against SQL tuples plus orjson (`lists`).
2. *A late page*: the last 1,000 of 100,000 volumes by marker against the first 1,000, also of one storage (`lists`).
3. *One object* of SQLite over HTTP from a real `delfin-all`, against an application of WebOb and Routes that does
   nothing, on the same server (`single`).

`--write` puts the figures into `docs/benchmarks.md`. The engines are private ones (`tests.engines`) and have the
settings of the tests; the figures are of reading, which these settings do not change. Nothing here is a test: no test
asserts a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import lists, report, single
from tests.benchmarks.databases import ENGINES, filled
from tests.benchmarks.measure import Comparison


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.benchmarks', description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--engines', default=','.join(ENGINES), help='which databases, separated by commas')
    parser.add_argument('--rounds', type=int, default=40, help='how often each list is asked for')
    parser.add_argument('--write', action='store_true', help=f'put the figures into {report.DOCUMENT.name}')
    arguments = parser.parse_args()
    engines = arguments.engines.split(',')
    unknown = sorted(set(engines) - set(ENGINES))
    if unknown:
        parser.error(f'unknown engine {", ".join(unknown)}; there are {", ".join(ENGINES)}')
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix='delfin-benchmarks-') as folder:
        with lists.service_parts(Path(folder)) as parts:
            for engine in engines:
                _say(f'{engine}: filling')
                with filled(engine, Path(folder)) as stored:
                    _say(f'{engine}: lists')
                    comparisons += lists.measure(parts, stored, arguments.rounds)
        if 'sqlite' in engines:
            _say('one object over HTTP')
            comparisons += single.measure(Path(folder), arguments.rounds)
    print(report.table(comparisons))
    if arguments.write:
        report.write(comparisons)
        _say(f'written to {report.DOCUMENT}')


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
