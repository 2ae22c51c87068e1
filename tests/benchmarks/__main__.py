# SPDX-License-Identifier: Apache-2.0
"""Delfin's speed against floors that are measured in the same run.

    python -m tests.benchmarks [--engines sqlite,postgresql,mariadb] [--only lists,single] [--rounds 40] [--seconds 300]
                               [--write]

Milliseconds depend on the machine, ratios hardly do. Each comparison therefore measures Delfin and its floor in turns,
on the same data and connection pool, and gives medians and their ratio:

1. *A list*: 1,000 of 100,000 volumes through the whole pipeline in process, against SQL tuples plus orjson (`lists`).
2. *A late page*: the last 1,000 of 100,000 volumes by marker against the first 1,000, also of one storage (`lists`).
3. *One object* of SQLite over HTTP from a real `delfin-all`, against an application of WebOb and Routes that does
   nothing, on the same server (`single`).
4. *Syncs* of up to 100,000 volumes against plain inserts of the same rows (`sync`), and their memory (`memory`).
5. *Many arrays* that take their time, in a real `delfin-all` (`arrays`).
6. *Readers* beside a sync of 100,000 volumes, in a real `delfin-all` (`readers`).
7. *Traps*: the cost of receiving one against net-snmp's `snmptrapd`; loss, and the time until they are alerts, in a
   real `delfin-all` (`traps`).
8. *A scrape* of 200,000 series of metrics against `prometheus_client` (`scrape`).
9. *The history of metrics*: room and time of a point, reading, what a killed process loses (`history`; the engines
   that it was chosen from: `python -m tests.benchmarks.candidates`).
10. *Points* of metrics as drivers return them, checked, against a bare loop (`points`); the metrics of a *fleet* of
   1,000 arrays, some of which hang (`fleet`).

`--write` puts the figures into `docs/benchmarks.md`. The engines are private ones (`tests.engines`) and have the
settings of the tests; the figures are of reading, which these settings do not change. Nothing here is a test: no test
asserts a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import (
    arrays,
    fleet,
    history,
    lists,
    memory,
    points,
    readers,
    report,
    scrape,
    single,
    sync,
    traps,
)
from tests.benchmarks.databases import ENGINES, filled
from tests.benchmarks.measure import Comparison, Figure

PARTS = ('lists', 'single', 'sync', 'memory', 'arrays', 'readers', 'traps', 'scrape', 'history',
         'points', 'fleet')


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.benchmarks', description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--engines', default=','.join(ENGINES), help='which databases, separated by commas')
    parser.add_argument('--only', default=','.join(PARTS), help=f'which parts, separated by commas: {", ".join(PARTS)}')
    parser.add_argument('--rounds', type=int, default=40, help='how often each list is asked for')
    parser.add_argument('--seconds', type=float, default=traps.SECONDS,
                        help=f'how long {traps.RATE} traps/s go on; less is only for a try')
    parser.add_argument('--write', action='store_true', help=f'put the figures into {report.DOCUMENT.name}')
    arguments = parser.parse_args()
    engines = _chosen(parser, 'engine', arguments.engines, ENGINES)
    parts = _chosen(parser, 'part', arguments.only, PARTS)
    if arguments.write and len(parts) < len(PARTS):
        parser.error('--write takes the figures of all parts')
    if arguments.write and arguments.seconds < traps.SECONDS:
        parser.error(f'--write takes figures of {traps.SECONDS:g} seconds')
    with tempfile.TemporaryDirectory(prefix='delfin-benchmarks-') as folder:
        comparisons, figures = _measure(Path(folder), engines, parts, arguments.rounds, arguments.seconds)
    print(report.text(comparisons, figures))
    if arguments.write:
        report.write(comparisons, figures)
        _say(f'written to {report.DOCUMENT}')


def _measure(folder: Path, engines: Sequence[str], parts: Sequence[str], rounds: int,
             seconds: float) -> tuple[list[Comparison], list[Figure]]:
    comparisons: list[Comparison] = []
    figures: list[Figure] = []
    if 'lists' in parts:
        with lists.service_parts(folder) as service_parts:
            for engine in engines:
                _say(f'{engine}: lists')
                with filled(engine, folder) as stored:
                    comparisons += lists.measure(service_parts, stored, rounds)
    if 'single' in parts and 'sqlite' in engines:
        _say('one object over HTTP')
        comparisons += single.measure(folder, rounds)
    if 'sync' in parts:
        for engine in (engine for engine in sync.ENGINES if engine in engines):
            compared, growth = sync.measure(engine, folder, _say)
            comparisons += compared
            figures += growth
    if 'sqlite' in engines:
        for part, figures_of in (('memory', memory.measure), ('arrays', arrays.measure), ('readers', readers.measure),
                                 ('history', history.measure), ('fleet', fleet.measure)):
            if part in parts:
                _say(part)
                figures += figures_of(folder)
    if 'traps' in parts:
        compared, of_alerts = traps.measure(folder, engines, seconds, _say)
        comparisons += compared
        figures += of_alerts
    if 'points' in parts:
        _say('points')
        comparisons += points.measure()
    if 'scrape' in parts:
        _say('scrape')
        compared, of_scrapes = scrape.measure()
        comparisons += compared
        figures += of_scrapes
    return comparisons, figures


def _chosen(parser: argparse.ArgumentParser, what: str, given: str, known: Sequence[str]) -> list[str]:
    chosen = given.split(',')
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        parser.error(f'unknown {what} {", ".join(unknown)}; there are {", ".join(known)}')
    return chosen


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
