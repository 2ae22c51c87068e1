# SPDX-License-Identifier: Apache-2.0
"""The restricted shell: a line becomes words, by the rules of quoting, and nothing else happens to it.

A real shell would interpret more; what it would is refused here. Where something is quoted or escaped, it is data.
Patterns (`*`, `?`) are left to the commands that know them.
"""

from __future__ import annotations

_OPERATORS = frozenset(';|&<>()`$\n{}')
_AT_START = frozenset('~#')
_ESCAPED_IN_QUOTES = frozenset('"\\`$\n')


class Interpreted(Exception):
    """The line has something that a shell would interpret, or a quote that is not closed."""


def split(line: str) -> list[str]:
    """The words of a line; Interpreted."""
    words: list[str] = []
    word: list[str] = []
    begun = False               # whether a word is, which may be empty: ''
    quote = ''
    characters = iter(line)
    for one in characters:
        if not quote and one in ' \t':
            if begun:
                words.append(''.join(word))
                word.clear()
            begun = False
            continue
        if one == '\\' and quote != "'":
            word.append(_escaped(next(characters, None), bool(quote)))
        elif one == quote:
            quote = ''
        elif quote:
            if quote == '"' and one in '$`':
                raise Interpreted(one)
            word.append(one)
        elif one in '"\'':
            quote = one
        elif one in _OPERATORS or (one in _AT_START and not begun):
            raise Interpreted(one)
        else:
            word.append(one)
        begun = True
    if quote:
        raise Interpreted(quote)
    return [*words, ''.join(word)] if begun else words


def _escaped(one: str | None, in_quotes: bool) -> str:
    """What a backslash and the character behind it stand for."""
    if one is None or one == '\n':
        raise Interpreted('\\')
    return f'\\{one}' if in_quotes and one not in _ESCAPED_IN_QUOTES else one
