# SPDX-License-Identifier: Apache-2.0
"""Small helpers for times, capacities and the text of command lines."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oslo_utils import units

from delfin import exception

LOG = logging.getLogger(__name__)

_FACTORS = {'B': 1, 'KB': units.Ki, 'MB': units.Mi, 'GB': units.Gi, 'TB': units.Ti, 'PB': units.Pi}
_CAPACITY = re.compile(r'([+-]?[0-9.]+)\s*([A-Za-z]*)')
_NOTHING = ('', '-')
_SCP_SECONDS = 15.0
_TYPE_PARTS = 3


class Tools:
    """No constructor arguments; the static ones are also called on the class."""

    def time_str_to_timestamp(self, text: str, pattern: str) -> int | str:
        """Epoch ms of a text in the local time of *this* machine ('' of nothing). Arrays have a zone of their own:
        new drivers better parse with theirs.
        """
        if not text:
            return ''
        return int(time.mktime(time.strptime(text, pattern)) * units.k)

    def timestamp_to_time_str(self, ms: float | None, pattern: str) -> str:
        """Epoch ms as a text in the local time of this machine; 0 and None are ''."""
        if not ms:
            return ''
        return datetime.fromtimestamp(ms / units.k).strftime(pattern)

    @staticmethod
    def timestamp_to_utc_time_str(ms: float | None, pattern: str) -> str:
        """Epoch ms as a text in UTC; 0 and None are ''."""
        if not ms:
            return ''
        return datetime.fromtimestamp(ms / units.k, UTC).strftime(pattern)

    @staticmethod
    def change_capacity_to_bytes(unit: str) -> int:
        """How many bytes a KB, MB, GB, TB or PB (any case, powers of 1024) is; 1 for anything else."""
        return _FACTORS.get(unit.upper(), 1)

    @staticmethod
    def get_capacity_size(text: str | None) -> float:
        """Bytes of a capacity like "5 GB", "1.5TB", "12B" or "4096"; 0 of nothing and of "-".

        ValueError for any other unit and for separators of thousands, never a wrong number.
        """
        capacity = '' if text is None else str(text).strip()
        if capacity in _NOTHING:
            return 0.0
        match = _CAPACITY.fullmatch(capacity)
        if match is None or (match[2] and match[2].upper() not in _FACTORS):
            raise ValueError(f'not a capacity in B, KB, MB, GB, TB or PB: {capacity!r}')
        return float(match[1]) * Tools.change_capacity_to_bytes(match[2])

    @staticmethod
    def get_numbers_in_brackets(text: str, pattern: str) -> str:
        """The first match of a pattern without its round brackets; '' if there is none."""
        match = re.search(pattern, text)
        return '' if match is None else match[0].replace('(', '').replace(')', '')

    @staticmethod
    def split_value_map_list(text: str, map_list: list[dict[str, str]], is_mapping: bool = False,
                             is_alert: bool = False, split: str = ':') -> list[dict[str, str]]:
        """Append one dict to `map_list` for each block of lines `key: value` in the output of a command, and return it.

        Lines end with CR LF, an empty one ends a block; `split` and a blank stand between key and value. Keys lose
        their blanks, values `""`. Lines without value are left out, or with `is_mapping` have ''. With `is_alert`, a
        line without key goes on with the value before it, unless it speaks of entries.
        """
        record: dict[str, str] = {}
        last = ''
        for line in text.split('\r\n'):
            if not line.strip():
                if record:
                    map_list.append(record)
                record, last = {}, ''
                continue
            first, *rest = line.split(f'{split} ')
            key, value = first.replace(' ', '').removesuffix(split), rest[-1].strip().replace('""', '') if rest else ''
            if value or is_mapping:
                record[key], last = value, key
            elif is_alert and not rest and last and 'entries' not in line:
                record[last] += f' {line.strip()}'
        if record:
            map_list.append(record)
        return map_list

    @staticmethod
    def get_remote_file_to_xml(ssh: Any, file: str, local_path: str, remote_path: str) -> Any:
        """Copy the XML file `file` from a folder of the array (SCP) to a local one and parse it; its root element.

        None, with a line in the log, if that fails. Local files of the same type are removed afterwards.
        `ComponentNotFound` without the extra `legacy-drivers`.
        """
        try:
            from defusedxml import ElementTree
            from scp import SCPClient
        except ImportError as error:
            raise exception.ComponentNotFound(f'{error.name} (pip install "delfin[legacy-drivers]")') from None
        target = Path(local_path) / Path(file).name     # the name comes from the array
        try:
            with SCPClient(ssh.get_transport(), socket_timeout=_SCP_SECONDS) as copy:
                copy.get(f'{remote_path}/{file}', str(target))
            return ElementTree.parse(target).getroot()
        except Exception as error:      # paramiko's, the system's, the parser's: as the contract says
            LOG.error('file %s of the array could not be copied or read: %s', file, error)
            return None
        finally:
            Tools.remove_file_with_same_type(target.name, local_path)

    @staticmethod
    def remove_file_with_same_type(name: str, path: str) -> None:
        """Remove the files of a folder whose names hold the first three parts (between `_`) of `name`."""
        kind = '_'.join(name.split('_')[:_TYPE_PARTS])
        folder = Path(path)
        if kind and folder.is_dir():
            for file in folder.iterdir():
                if kind in file.name and file.is_file():
                    with contextlib.suppress(FileNotFoundError):        # another thread was faster
                        file.unlink()
