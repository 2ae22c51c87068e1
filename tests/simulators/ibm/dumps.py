# SPDX-License-Identifier: Apache-2.0
"""The statistics files: a directory on each node, of which the newest files of a kind stay.

Only the configuration node's directory can be fetched from; other nodes' files are there once somebody copies them. A
file is made when it is read, from what the node had counted at its time; one that was read stays as it was.

Names have no zone: when clocks are put back, the files of the second hour replace those of the first.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.simulators.ibm import statfiles
from tests.simulators.ibm.model import Model
from tests.simulators.ibm.statistics import Statistics

DIRECTORY = '/dumps/iostats'
KEPT = 16
_READ = 256                     # so many files that were read stay as they were


@dataclass(frozen=True, slots=True)
class File:
    """Of a node, a kind and the end of an interval."""

    kind: str
    node: str
    at: float
    since: float                # when the node had started


class Dumps:
    """Files by node. KeyError for a node that is not there."""

    def __init__(self, model: Model, statistics: Statistics, clock: Callable[[], float], kinds: Sequence[str]) -> None:
        self._model = model
        self._statistics = statistics
        self._clock = clock
        self._kinds = kinds
        self._copied: dict[str, dict[str, File]] = {}       # by the node that has the copy
        self._removed: set[File] = set()
        self._cut: dict[File, float] = {}                   # part that is there
        self._read: OrderedDict[File, bytes] = OrderedDict()

    def names(self, node: str) -> list[str]:
        """What is in the directory of a node."""
        return sorted(self._files(node))

    def times(self, node: str) -> list[tuple[str, float]]:
        """The same with the times at which they were written."""
        return [(name, file.at) for name, file in sorted(self._files(node).items())]

    def content(self, node: str, name: str) -> bytes | None:
        """A file in the directory of a node; None if it is not there."""
        file = self._files(node).get(name)
        return None if file is None else self._content(file)

    def copy(self, node: str, pattern: str) -> None:
        """Copy a node's files to the configuration node. Those there make room when there are too many of a kind."""
        target = self._model.config_node.id
        if node == target:
            return
        copies = self._copied.setdefault(target, {})
        copies.update((name, file) for name, file in self._own(node).items() if fnmatch.fnmatchcase(name, pattern))
        for kind in self._kinds:
            there = sorted((file.at, name) for name, file in copies.items() if (file.kind, file.node) == (kind, node))
            for _, name in there[:-KEPT]:
                del copies[name]

    # --- what goes wrong ---

    def remove(self, pattern: str) -> int:
        """Let files vanish; how many did."""
        found = list(self._matching(pattern))
        self._removed.update(found)
        return len(found)

    def truncate(self, pattern: str, part: float) -> int:
        """Let only a part of files be there; of how many."""
        found = list(self._matching(pattern))
        self._cut.update(dict.fromkeys(found, part))
        return len(found)

    def _matching(self, pattern: str) -> Iterator[File]:
        with self._model.lock:
            for node in self._model['node']:
                for name, file in self._own(node).items():
                    if fnmatch.fnmatchcase(name, pattern):
                        yield file

    # --- files ---

    def _files(self, node: str) -> dict[str, File]:
        with self._model.lock:
            copies = {name: file for name, file in self._copied.get(node, {}).items() if file not in self._removed}
            return {**copies, **self._own(node)}

    def _own(self, node: str) -> dict[str, File]:
        panel, zone = self._model['node'][node].panel, self._model.system.time_zone
        ends = list(itertools.islice(self._ends(node), KEPT))
        found = {}
        for at, since in reversed(ends):        # the newer of two with the same name stays
            for kind in self._kinds:
                found[statfiles.name(kind, panel, at, zone)] = File(kind, node, at, since)
        return {name: file for name, file in found.items() if file not in self._removed}

    def _ends(self, node: str) -> Iterator[tuple[float, float]]:
        """Ends of intervals at which a node wrote, newest first, and since when it was up."""
        until = self._clock()
        for period in reversed(self._statistics.periods):
            if period.minutes is not None:
                for at in _backwards(until, period.begin, 60 * period.minutes):
                    since = self._statistics.up_since(node, at)
                    if since is not None:
                        yield at, since
            until = period.begin

    def _content(self, file: File) -> bytes:
        with self._model.lock:
            found = self._read.get(file)
            if found is None:
                found = self._read[file] = statfiles.content(
                    self._model, self._statistics, file.kind, self._model['node'][file.node], file.since, file.at)
                if len(self._read) > _READ:
                    self._read.popitem(last=False)
            return found[:int(len(found) * self._cut[file])] if file in self._cut else found


def _backwards(until: float, begin: float, step: int) -> Iterable[float]:
    """The multiples of a step up to one time and behind the other, newest first."""
    at = until // step * step
    while at > begin:
        yield at
        at -= step
