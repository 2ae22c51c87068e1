# SPDX-License-Identifier: Apache-2.0
"""What the commands do: options, filters, roles, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.simulators.ibm import errors
from tests.simulators.ibm.accounts import ADMINISTRATOR, Account
from tests.simulators.ibm.errors import NotFound, Refusal
from tests.simulators.ibm.grammar import Manner, Record, Table, show, without, written
from tests.simulators.ibm.shell import Interpreted, split
from tests.simulators.ibm.views import View, system, views

if TYPE_CHECKING:
    from tests.simulators.ibm.server import Storwize

_SHOWN = {'alert': True, 'message': True, 'monitoring': True, 'expired': False, 'fixed': False}
_IOSTATS = '/dumps/iostats'


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back. `words` are those that the command was understood as, without prefix; None if it was not."""

    stdout: bytes = b''
    stderr: bytes = b''
    status: int = 0
    words: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A command taken apart: flags are True among the options."""

    user: Account
    command: str
    options: Mapping[str, str | bool]
    objects: tuple[str, ...] = ()

    @property
    def object(self) -> str | None:
        """The object that is given, if any; Refusal for several."""
        if len(self.objects) > 1:
            raise Refusal(errors.UNKNOWN_PARAMETER, self.objects[1])
        return self.objects[0] if self.objects else None

    def value(self, option: str) -> str | None:
        """Of an option that has one."""
        found = self.options.get(option)
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Command:
    """`options` are those it knows beside -delim and -nohdr: whether a value follows. `change` needs the role of an
    administrator, and `run` then returns what is said about it."""

    run: Callable[[Call], Table | Record | str]
    options: Mapping[str, bool] = field(default_factory=dict)
    change: bool = False


class Interpreter:
    """The commands of one array."""

    def __init__(self, array: Storwize) -> None:
        self._array = array
        self._level = array.level
        self._views = views(array.level)
        self._commands = {name: command for name, command in self._others().items() if not self._level.lacks(name)}
        self._shell = 'bash' if self._level.prefixed else 'rbash'

    def answer(self, line: str, user: Account) -> Answer:
        """What a line from somebody gets."""
        try:
            words = split(line)
        except Interpreted as found:
            self._array.injections.append(line)
            return Answer(stderr=f'{self._shell}: {found.args[0]!r}: restricted\n'.encode(), status=1)
        if not words:
            return Answer(words=())
        try:
            name, *rest = self._plain(words)
            return Answer(self._run(name, rest, user).encode(), words=(name, *rest))
        except Refusal as refusal:
            return Answer(stderr=f'{refusal}\n'.encode(), status=refusal.status, words=tuple(words))

    def _plain(self, words: list[str]) -> list[str]:
        """Without the prefix, old or Inspur's."""
        reading, changing = ('mcsinq', 'mcsop') if self._level.prefixed else ('svcinfo', 'svctask')
        if words[0] in (reading, changing) and len(words) > 1:
            shows = words[1] in self._views or (words[1] in self._commands and not self._commands[words[1]].change)
            if shows == (words[0] == reading):
                return words[1:]
            raise NotFound(self._shell, words[1])
        if self._level.prefixed:
            raise NotFound(self._shell, words[0])
        return words

    def _run(self, name: str, rest: Sequence[str], user: Account) -> str:
        model = self._array.model
        view = self._views.get(name)
        if view is not None:
            call = self._taken_apart(user, name, rest, {
                'filtervalue': True, **({'bytes': False} if view.bytes and name not in self._level.no_bytes else {})})
            with model.lock:
                return model.derived((name, *rest), lambda: self._shown(view, call))
        command = self._commands.get(name)
        if command is None:
            raise NotFound(self._shell, name)
        if command.change and user.role != ADMINISTRATOR:
            raise Refusal(errors.NOT_AUTHORIZED)
        call = self._taken_apart(user, name, rest, command.options)
        with model.lock:
            shown = command.run(call)
            return shown if isinstance(shown, str) else self._written(shown, call)

    def _taken_apart(self, user: Account, name: str, rest: Sequence[str], known: Mapping[str, bool]) -> Call:
        known = {'delim': True, 'nohdr': False, **known}
        options: dict[str, str | bool] = {}
        objects: list[str] = []
        words = iter(rest)
        for word in words:
            if not word.startswith('-'):
                objects.append(word)
            elif word[1:] not in known:
                raise Refusal(errors.UNKNOWN_PARAMETER, word)
            elif not known[word[1:]]:
                options[word[1:]] = True
            else:
                value = next(words, None)
                if value is None:
                    raise Refusal(errors.MISSING_PARAMETER)
                options[word[1:]] = value
        if len(str(options.get('delim', '!'))) != 1:
            raise Refusal(errors.UNKNOWN_PARAMETER, str(options['delim']))
        return Call(user, name, options, tuple(objects))

    def _manner(self, call: Call) -> Manner:
        return Manner(call.value('delim'), 'nohdr' not in call.options, 'bytes' in call.options,
                      self._level.raw_control_characters)

    def _written(self, shown: Table | Record, call: Call) -> str:
        manner, shown = self._manner(call), without(shown, self._level.without)
        if call.value('filtervalue') is not None and isinstance(shown, Table):
            shown = _filtered(shown, call.value('filtervalue') or '', manner)
        return show(shown, manner)

    def _shown(self, view: View, call: Call) -> str:
        model, named = self._array.model, call.object
        try:
            if named is None and (view.columns and (view.narrow is None or call.command == 'lshostvdiskmap')):
                return self._written(view.table(model, self._level), call)
            if named is None:
                raise Refusal(errors.MISSING_PARAMETER)
            if view.narrow is not None:
                return self._written(Table(view.columns, view.narrow(model, self._level, named)), call)
            if view.record is None:
                raise Refusal(errors.UNKNOWN_PARAMETER, named)
            item = model.named(view.kind, named) if view.kind else named
            return self._written(view.record(model, self._level, item), call)
        except KeyError:
            raise Refusal(errors.NO_SUCH_OBJECT if named and named.isdecimal() else errors.BAD_NAME) from None

    # --- beside the views ---

    def _others(self) -> dict[str, Command]:
        array = self._array
        yes_no = dict.fromkeys(_SHOWN, True)
        filtering = {'filtervalue': True}
        return {
            'lssystem': Command(lambda call: system(array.model, array.level)),
            'lscluster': Command(lambda call: system(array.model, array.level)),
            'lscurrentuser': Command(self._current_user),
            'svqueryclock': Command(self._clock),
            'lseventlog': Command(self._events, {**yes_no, **filtering, 'count': True, 'order': True}),
            'cheventlog': Command(self._fix, {'fix': True}, change=True),
            'lsdumps': Command(self._dumps, {'prefix': True, **filtering}),
            'cpdumps': Command(self._copy_dumps, {'prefix': True}, change=True),
            'startstats': Command(self._start_statistics, {'interval': True}, change=True),
            'stopstats': Command(self._stop_statistics, change=True),
            'lssnmpserver': Command(lambda call: array.agent.table(), filtering),
            'mksnmpserver': Command(lambda call: array.agent.make(call.options), {
                **dict.fromkeys(('ip', 'community', 'port', 'error', 'warning', 'info', 'name'), True)}, change=True),
            'rmsnmpserver': Command(lambda call: array.agent.remove(call.object or ''), change=True),
        }

    def _current_user(self, call: Call) -> Record:
        return Record([[('name', call.user.name), ('role', call.user.role)]])

    def _clock(self, call: Call) -> str:
        return f'{datetime.fromtimestamp(self._array.clock(), ZoneInfo(self._array.model.system.time_zone)):%c %Z}\n'

    def _events(self, call: Call) -> Table | Record:
        if call.object is not None:
            return self._array.events.record(call.object)
        shown = dict(_SHOWN)
        for name in _SHOWN:
            value = call.value(name)
            if value is not None:
                if value not in ('yes', 'no'):
                    raise Refusal(errors.UNKNOWN_PARAMETER, value)
                shown[name] = value == 'yes'
        table = self._array.events.table(shown)
        count = _number(call.value('count'))
        return table if count is None else Table(table.columns, table.rows[-count:])

    def _fix(self, call: Call) -> str:
        number = call.value('fix')
        if number is None:
            raise Refusal(errors.MISSING_PARAMETER)
        _number(number)
        self._array.events.fix(number)
        return ''

    def _dumps(self, call: Call) -> Table:
        if (call.value('prefix') or '/dumps').rstrip('/') != _IOSTATS:
            return Table(('id', 'filename'), ())
        names = self._array.dumps.names(self._node(call.object))
        return Table(('id', 'filename'), list(enumerate(names)))

    def _copy_dumps(self, call: Call) -> str:
        prefix, node = call.value('prefix'), call.object
        if prefix is None or node is None:
            raise Refusal(errors.MISSING_PARAMETER)
        directory, _, pattern = prefix.rpartition('/')
        if prefix.rstrip('/') == _IOSTATS:
            directory, pattern = _IOSTATS, '*'
        if directory == _IOSTATS:
            self._array.dumps.copy(self._node(node), pattern or '*')
        return ''

    def _node(self, text: str | None) -> str:
        """Its id; the configuration node if none is given. Refusal."""
        model = self._array.model
        try:
            node = model.config_node if text is None else model.named('node', text)
        except KeyError:
            raise Refusal(errors.NO_SUCH_OBJECT) from None
        if node.status != 'online':
            raise Refusal(errors.UNSTABLE)
        return str(node.id)

    def _start_statistics(self, call: Call) -> str:
        minutes = _number(call.value('interval'))
        if minutes is None:
            raise Refusal(errors.MISSING_PARAMETER)
        if not 1 <= minutes <= 60:
            raise Refusal(errors.UNKNOWN_PARAMETER, str(minutes))
        self._array.statistics.switch(True, minutes)
        return ''

    def _stop_statistics(self, call: Call) -> str:
        self._array.statistics.switch(False)
        return ''


def _number(text: str | None) -> int | None:
    if text is not None and not re.fullmatch('[0-9]{1,10}', text):
        raise Refusal(errors.NOT_NUMERIC, text)
    return None if text is None else int(text)


def _filtered(table: Table, text: str, manner: Manner) -> Table:
    """The rows that `attribute=value` means, several joined by colons; a value may end or begin with `*`."""
    rows = list(table.rows)
    for part in text.split(':'):
        attribute, sign, value = part.partition('=')
        if not sign or attribute not in table.columns:
            raise Refusal(errors.BAD_FILTER, f'[{part}]')
        place = table.columns.index(attribute)
        pattern = re.compile('.*'.join(map(re.escape, value.split('*'))), re.DOTALL)
        rows = [row for row in rows if pattern.fullmatch(written(row[place], manner))]
    return Table(table.columns, rows)
