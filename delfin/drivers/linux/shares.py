# SPDX-License-Identifier: Apache-2.0
"""NFS exports and Samba shares.

Facts: exports(5), exportfs(8), testparm(1), smb.conf(5). `exportfs -v` is not used: without root it fails to lock its
table and then reports, with status 0, that nothing is exported. The table itself can be read by everybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from delfin import exception
from delfin.common.constants import ShareProtocol
from delfin.drivers.driver import Row
from delfin.drivers.linux.text import extra, flag, row, unescape_octal

_TABLE = '/var/lib/nfs/etab'        # what is exported now; empty or absent while the server does not run
_FILES = ('/etc/exports', '/etc/exports.d/*.exports')
FILES = (_TABLE, *_FILES)
SAMBA_COMMAND = ('testparm', '--suppress-prompt')
SAMBA_SERVER_COMMAND = ('smbd', '--version')

# A path is a word, or quoted, with \ooo for any byte; clients follow as host(options).
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_CLIENT = re.compile(r'([^\s()]*)(?:\(([^)]*)\))?')

# Sections of smb.conf that are no shares: settings, a template for home directories, and one for printers.
_NO_SHARES = ('global', 'homes', 'printers')


@dataclass(slots=True)
class Export:
    """One exported directory; `clients` are patterns of hosts with their options, as written."""

    path: str
    clients: list[str]
    source: str


def exports(files: Mapping[str, str]) -> list[Export] | None:
    """What NFS exports: the server's table, else (it does not run) what is configured; None without any of the files.

    `files` holds the contents of `FILES`.
    """
    if _TABLE in files:
        return _merge(_parse_exports(files[_TABLE], _TABLE))
    configured = {path: content for path, content in sorted(files.items()) if path.startswith('/etc/exports')}
    if not configured:
        return None
    return _merge(export for path, content in configured.items() for export in _parse_exports(content, path))


def _parse_exports(content: str, source: str) -> Iterator[Export]:
    """The lines of an exports file or of the table, which is written in the same form."""
    for line in content.replace('\\\n', ' ').splitlines():
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        path = _PATH.match(line)
        if path is None:        # only an unclosed quote can do that
            raise exception.InvalidResults(f'{source} has a line without a path: {line[:80]}')
        # A word that begins with a dash holds options for the clients after it.
        clients = [client[0] for client in _CLIENT.finditer(_without_comment(line[path.end():]))
                   if client[0] and not client[0].startswith('-')]
        name = unescape_octal(path[1] if path[1] is not None else path[2])
        yield Export(name.rstrip('/') or '/', clients, source)


def _without_comment(clients: str) -> str:
    return clients.partition(' #')[0]


def _merge(found: Iterator[Export]) -> list[Export]:
    """One export per path: the table has a line for every client."""
    merged: dict[str, Export] = {}
    for export in found:
        known = merged.setdefault(export.path, Export(export.path, [], export.source))
        known.clients += export.clients
    return list(merged.values())


def samba_shares(output: str) -> dict[str, dict[str, str]]:
    """Shares in the output of testparm by name, each with its parameters as testparm spells them.

    Left out: printers, shares that are not available, and templates.
    """
    sections: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] | None = None
    for line in map(str.strip, output.splitlines()):
        if line.startswith('[') and line.endswith(']'):
            parameters = sections.setdefault(line[1:-1], {})
        elif parameters is not None and '=' in line and not line.startswith(('#', ';')):
            name, _, value = line.partition('=')
            parameters[name.strip().lower()] = value.strip()
    if 'global' not in sections:        # testparm always prints it
        raise exception.InvalidResults('testparm printed no configuration')
    return {name: parameters for name, parameters in sections.items() if name.lower() not in _NO_SHARES
            and not _yes(parameters.get('printable')) and not _no(parameters.get('available'))}


def export_rows(found: list[Export], filesystem_of: Mapping[str, str | None]) -> list[Row]:
    """Rows of exports; `filesystem_of` maps paths to native ids of filesystems."""
    return [row(native_share_id=f'nfs:{export.path}', name=export.path, path=export.path, protocol=ShareProtocol.NFS,
                native_filesystem_id=filesystem_of.get(export.path),
                extra=extra(clients=export.clients, source=export.source)) for export in found]


def samba_rows(found: Mapping[str, Mapping[str, str]], filesystem_of: Mapping[str, str | None]) -> list[Row]:
    """Rows of Samba shares; they are writable only if they say so."""
    return [row(native_share_id=f'cifs:{name}', name=name, path=parameters.get('path'), protocol=ShareProtocol.CIFS,
                native_filesystem_id=filesystem_of.get(parameters.get('path', '')),
                extra=extra(comment=parameters.get('comment'), read_only=not _no(parameters.get('read only')),
                            guests=_yes(parameters.get('guest ok')) or None)) for name, parameters in found.items()]


def _yes(value: str | None) -> bool:
    return flag((value or '').lower()) is True


def _no(value: str | None) -> bool:
    return flag((value or '').lower()) is False
