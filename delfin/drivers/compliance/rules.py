# SPDX-License-Identifier: Apache-2.0
"""What a rule is. Rules register themselves by the decorator `rule`; their table in the guide is made of this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from delfin.drivers.compliance.contract import METHODS, Level

F = TypeVar('F', bound=Callable[[Any], Iterable['Problem']])


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule found. `method` is where, if it is one method; a `remark` is legal but worth knowing: shapes of older
    drivers, sums that do not add up where nobody knows better. `concerns` is the level of those whom it concerns, if
    that is not the method's.
    """

    text: str
    method: str | None = None
    remark: bool = False
    concerns: Level | None = None

    def level(self, rule: Rule) -> Level:
        """Whom it concerns: who claims this level."""
        if self.concerns is not None:
            return self.concerns
        return METHODS[self.method].level if self.method is not None and self.method in METHODS else rule.level


def remark(text: str, method: str | None = None) -> Problem:
    """A finding that fails nobody."""
    return Problem(text, method, remark=True)


class Skip(Exception):
    """The rule cannot be tried here; the text says why. Never counts as passed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `dynamic` ones call the driver, static ones look at its class. `hint` says what to do about it. `last`
    ones judge what the others have seen or left.
    """

    id: str
    level: Level
    title: str
    hint: str
    check: Callable[[Any], Iterable[Problem]]
    dynamic: bool
    last: bool = False


_RULES: dict[str, Rule] = {}


def rule(id: str, title: str, hint: str, level: Level = Level.CORE, *, dynamic: bool = True,
         last: bool = False) -> Callable[[F], F]:
    """Register a function of a `Bench` (dynamic) or a `Subject` (static) that yields problems or raises `Skip`."""
    def register(check: F) -> F:
        if id in _RULES:
            raise ValueError(f'there is a rule {id} already')
        _RULES[id] = Rule(id, level, title, hint, check, dynamic, last)
        return check
    return register


def all_rules() -> tuple[Rule, ...]:
    """Every rule in the order in which they are tried: static ones first, then by id."""
    from delfin.drivers.compliance import alerts, errors, isolation, performance, rows, static  # noqa: F401
    groups = 'SRCAIET'      # what only reads before what disturbs the device
    return tuple(sorted(_RULES.values(), key=lambda each: (each.last, groups.index(each.id[0]), each.id)))


def select(ids: Iterable[str]) -> Iterator[Rule]:
    """The rules with these ids or, of a single letter, of that group; ValueError for what is neither."""
    wanted = list(ids)
    for word in wanted:
        if not any(_is_meant(word, each) for each in all_rules()):
            raise ValueError(f'there is no rule {word}; --list-rules shows them')
    return (each for each in all_rules() if not wanted or any(_is_meant(word, each) for word in wanted))


def _is_meant(word: str, each: Rule) -> bool:
    return word.upper() == each.id or word.upper() == each.id[0]
