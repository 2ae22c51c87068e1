# SPDX-License-Identifier: Apache-2.0
"""Delfin at work: registers this machine and one made-up array, follows the first sync, shows what was found."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

from installer.client import ApiError, Client
from installer.console import Console
from installer.state import State

SYNC_SECONDS = 180
ENDED = {'done', 'failed'}
MARKS = {'done': 'ok', 'failed': '!!', 'unsupported': '--'}
HEADINGS = ('name', 'vendor', 'model', 'status', 'total', 'used', 'free')


def storages_to_register() -> list[dict[str, Any]]:
    return [
        {'vendor': 'linux', 'model': 'host', 'cli': {'host': 'localhost'}},
        {
            'vendor': 'fake_storage',
            'model': 'fake_driver',
            'rest': {'host': '127.0.0.1', 'port': 8088, 'username': 'demo', 'password': secrets.token_urlsafe(12)},
        },
    ]


def show(client: Client, state: State, console: Console) -> bool:
    """Register (once in the life of a state directory), follow, tabulate; whether all of it worked."""
    known: dict[str, str] = state.recorded().get('demo', {})
    worked = True
    for access in storages_to_register():
        name = f'{access["vendor"]} {access["model"]}'
        if name in known:
            continue
        try:
            storage_id, new = register(client, access, console)
            if storage_id is not None:
                known[name] = storage_id
                state.record(demo=known)
            if storage_id is not None and new:
                worked &= follow_first_sync(client, storage_id, console)
        except ApiError as error:
            console.done(f'{name}: {error}', mark='!!')
            worked = False
    tabulate(client, known, console)
    return worked


def register(client: Client, access: dict[str, Any], console: Console) -> tuple[str | None, bool]:
    """Register one storage: its id, and whether it is new. Of one registered before us the id may be untold (None)."""
    name = f'{access["vendor"]} {access["model"]}'
    try:
        storage = client.post('/v1/storages', access)
    except ApiError as error:
        if error.status != 409:
            raise
        storage_id = _existing_id(client, access, error)
        console.done(f'{name} is registered already{f", id {storage_id}" if storage_id else ""}')
        return storage_id, False
    console.done(f'registered {name}: {storage.get("name")}, id {storage["id"]}')
    return str(storage['id']), True


def _existing_id(client: Client, access: dict[str, Any], conflict: ApiError) -> str | None:
    """Which storage a 409 speaks of: its arguments name the id or serial number, else vendor and model must do."""
    arguments = {str(value) for value in _flat(conflict.body.get('error_args'))}
    storages = client.get('/v1/storages').get('storages', [])
    for wanted in (
        lambda row: row.get('id') in arguments or row.get('serial_number') in arguments,
        lambda row: (row.get('vendor'), row.get('model')) == (access['vendor'], access['model']),
    ):
        for row in storages:
            if wanted(row):
                return str(row['id'])
    return None


def _flat(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return [value]
    return [leaf for item in value for leaf in _flat(item)]


def follow_first_sync(client: Client, storage_id: str, console: Console) -> bool:
    """One line for each kind as it ends; whether the run ended well."""
    told: set[str] = set()
    end = time.monotonic() + SYNC_SECONDS
    while time.monotonic() < end:
        run = _latest_run(client, storage_id)
        for kind in run.get('kinds', []):
            if kind['state'] in MARKS and kind['kind'] not in told:
                told.add(kind['kind'])
                console.done(describe(kind), mark=f'    {MARKS[kind["state"]]}')
        if run.get('state') in ENDED:
            return bool(run['state'] == 'done')
        time.sleep(0.1)
    console.done(f'the first sync still runs after {SYNC_SECONDS} s; it goes on by itself', mark='--')
    return False


def _latest_run(client: Client, storage_id: str) -> dict[str, Any]:
    try:
        return client.get(f'/v1/storages/{storage_id}/syncs/latest')
    except ApiError as error:
        if error.status == 404:  # no run yet
            return {}
        raise


def describe(kind: dict[str, Any]) -> str:
    """'volumes              40 found (40 new) 0.01 s'"""
    name = f'{kind["kind"].replace("_", " "):<24}'
    if kind['state'] == 'unsupported':
        return f'{name}     not supported by this driver'
    if kind['state'] == 'failed':
        return f'{name}     {_first_line(kind.get("error"))}'
    changes = [f'{kind[key]} {word}' for key, word in (('created', 'new'), ('rejected', 'rejected')) if kind.get(key)]
    note = f' ({", ".join(changes)})' if changes else ''
    return f'{name} {kind["seen"]:>6} found{note} {kind.get("seconds") or 0:.2f} s'


def _first_line(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get('error_msg') or error
    return (str(error or 'failed').splitlines() or ['failed'])[0]


def tabulate(client: Client, known: dict[str, str], console: Console) -> None:
    """What Delfin knows now of the storages we registered; those removed since are left out."""
    storages = []
    for storage_id in known.values():
        try:
            storages.append(client.get(f'/v1/storages/{storage_id}'))
        except ApiError as error:
            if error.status != 404:
                console.done(f'storage {storage_id}: {error}', mark='!!')
    if not storages:
        return
    console.say()
    _print_table([HEADINGS, *map(_storage_row, storages)], console)
    console.say()
    _print_table(_counts(client, storages), console)
    machine = known.get('linux host')
    for storage in storages:
        if storage['id'] == machine:
            _show_machine(client, storage, console)


def _storage_row(storage: dict[str, Any]) -> Sequence[str]:
    capacities = [human_size(storage.get(f'{which}_capacity')) for which in ('total', 'used', 'free')]
    return [*(str(storage.get(key) or '-') for key in HEADINGS[:4]), *capacities]


def _counts(client: Client, storages: list[dict[str, Any]]) -> list[Sequence[str]]:
    """One line for each kind, one column for each storage, as the latest sync of each saw it."""
    columns = [_latest_run(client, storage['id']).get('kinds', []) for storage in storages]
    counts = [{kind['kind']: str(kind['seen']) for kind in run if kind['state'] == 'done'} for run in columns]
    kinds = dict.fromkeys(kind['kind'] for run in columns for kind in run if kind['kind'] != 'storage')
    rows = [(kind.replace('_', ' '), *(count.get(kind, '-') for count in counts)) for kind in kinds]
    return [('found', *(str(storage.get('name') or '-') for storage in storages)), *rows]


def _show_machine(client: Client, storage: dict[str, Any], console: Console) -> None:
    rows: list[Sequence[str]] = []
    for kind, size, label in (('disks', 'capacity', 'disk'), ('filesystems', 'total_capacity', 'filesystem')):
        for row in client.rows(kind, storage['id']):
            rows.append((label, str(row.get('name') or '-'), human_size(row.get(size)), str(row.get('status') or '-')))
    if rows:
        console.say()
        console.say('  This machine:')
        _print_table(rows, console)


def _print_table(rows: list[Sequence[str]], console: Console) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, strict=True)
        aligned = (cell.rjust(width) if cell.isdecimal() else cell.ljust(width) for cell, width in cells)
        console.say('    ' + '  '.join(aligned).rstrip())


def human_size(size: Any) -> str:
    """1.8 TiB; '-' for what the storage did not tell."""
    if not isinstance(size, int):
        return '-'
    value = float(size)
    for unit in ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'):
        if value < 1024 or unit == 'PiB':
            break
        value /= 1024
    return f'{value:.0f} {unit}' if unit == 'B' else f'{value:.1f} {unit}'
