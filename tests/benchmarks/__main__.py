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
11. *Drivers* of real arrays, 10,000 volumes each, against a bare loop that fetches the same bytes (`drivers`).

`--write` puts the figures into `docs/benchmarks.md`, each section's when all its parts were measured. The engines are
private ones (`tests.engines`) and have the settings of the tests; the figures are of reading, which these settings do
not change. Nothing here is a test: no test asserts a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks import (
    arrays,
    drivers,
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

# Sections of the document and the parts whose figures they have.
SECTIONS = {'requests': ('lists', 'single'), 'syncs': ('sync', 'memory', 'arrays', 'readers'), 'traps': ('traps',),
            'scrapes': ('scrape',), 'history': ('history',), 'collection': ('points', 'fleet'), 'arrays': ('drivers',)}
PARTS = tuple(part for parts in SECTIONS.values() for part in parts)

_Found = tuple[list[Comparison], list[Figure]]


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
    if arguments.write and any(0 < len(set(wanted) & set(parts)) < len(wanted) for wanted in SECTIONS.values()):
        parser.error('--write takes the figures of whole sections: ' + ', '.join(
            f'{section} ({", ".join(wanted)})' for section, wanted in SECTIONS.items()))
    if arguments.write and arguments.seconds < traps.SECONDS:
        parser.error(f'--write takes figures of {traps.SECONDS:g} seconds')
    found: dict[str, _Found] = {}
    with tempfile.TemporaryDirectory(prefix='delfin-benchmarks-') as folder:
        for part, comparisons, figures in _measure(Path(folder), engines, parts, arguments.rounds, arguments.seconds):
            section = next(section for section, wanted in SECTIONS.items() if part in wanted)
            of_section = found.setdefault(section, ([], []))
            of_section[0].extend(comparisons)
            of_section[1].extend(figures)
    print(report.text([one for comparisons, _ in found.values() for one in comparisons],
                      [one for _, figures in found.values() for one in figures]))
    if arguments.write:
        for section, (comparisons, figures) in found.items():
            report.write(section, comparisons, figures)
        _say(f'written to {report.DOCUMENT}: {", ".join(found)}')


def _measure(folder: Path, engines: Sequence[str], parts: Sequence[str], rounds: int,
             seconds: float) -> Iterator[tuple[str, Sequence[Comparison], Sequence[Figure]]]:
    if 'lists' in parts:
        with lists.service_parts(folder) as service_parts:
            for engine in engines:
                _say(f'{engine}: lists')
                with filled(engine, folder) as stored:
                    yield 'lists', lists.measure(service_parts, stored, rounds), ()
    if 'single' in parts and 'sqlite' in engines:
        _say('one object over HTTP')
        yield 'single', single.measure(folder, rounds), ()
    if 'sync' in parts:
        for engine in (engine for engine in sync.ENGINES if engine in engines):
            yield 'sync', *sync.measure(engine, folder, _say)
    if 'sqlite' in engines:
        for part, figures_of in (('memory', memory.measure), ('arrays', arrays.measure), ('readers', readers.measure),
                                 ('history', history.measure), ('fleet', fleet.measure)):
            if part in parts:
                _say(part)
                yield part, (), figures_of(folder)
    if 'traps' in parts:
        yield 'traps', *traps.measure(folder, engines, seconds, _say)
    if 'points' in parts:
        _say('points')
        yield 'points', points.measure(), ()
    if 'drivers' in parts:
        _say('drivers')
        yield 'drivers', *drivers.measure(folder)
    if 'scrape' in parts:
        _say('scrape')
        yield 'scrape', *scrape.measure()


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
