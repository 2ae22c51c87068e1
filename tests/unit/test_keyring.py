# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: sealing, places, rotation on one host and on several, the key file."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings, stateful
from hypothesis import strategies as st

import delfin.keyring
from delfin import access, exception
from delfin.db import Database, ownership, storages
from delfin.db.schema import Schema
from delfin.db.sqlalchemy.models import access_info, alert_sources
from delfin.keyring import (
    Keyring,
    is_sealed,
    key_of,
    new_key,
    place,
    pruned_file,
    read_key_file,
    read_keys,
    write_key_file,
)
from delfin.rotation import ALERT_SOURCE, Rotation
from tests.unit import support

WHERE = place('storage-1', 'ssh', 'password')
SECRET = 'correct horse battery staple'


def sealed_parts(text):
    """(prefix with key id, raw bytes) of a sealed text."""
    head, _, body = text.rpartition('$')
    return head, base64.b64decode(body)


def put_together(head, raw):
    return f'{head}${base64.b64encode(raw).decode()}'


@given(st.text(st.characters()), st.text())
def test_a_sealed_secret_opens_in_its_place(keyring, secret, where):
    assert keyring.open(keyring.seal(secret, where), where) == secret


def test_a_sealed_text_is_recognised(keyring):
    assert is_sealed(keyring.seal('x', WHERE))


@pytest.mark.parametrize('value', ['', 'secret', None, 7, b'$delfin$1$', 'x $delfin$1$'])
def test_other_values_are_not_taken_for_sealed(value):
    assert not is_sealed(value)


@given(st.text(min_size=6))
def test_a_sealed_text_does_not_show_the_secret(keyring, secret):
    text = keyring.seal(secret, WHERE)
    assert secret not in text and secret.encode() not in sealed_parts(text)[1]


def test_one_secret_never_looks_the_same_twice(keyring):
    assert keyring.seal('x', WHERE) != keyring.seal('x', WHERE)


@pytest.mark.parametrize('where', [
    place('storage-2', 'ssh', 'password'), place('storage-1', 'rest', 'password'),
    place('storage-1', 'ssh', 'passphrase'), ''])
def test_a_secret_copied_to_another_place_does_not_open(keyring, where):
    with pytest.raises(exception.SecretUnreadable, match='belongs to another place'):
        keyring.open(keyring.seal(SECRET, WHERE), where)


@pytest.mark.parametrize('position', [0, 11, 12, 20, -1])
def test_a_damaged_text_does_not_open(keyring, position):
    head, raw = sealed_parts(keyring.seal(SECRET, WHERE))
    changed = bytearray(raw)
    changed[position] ^= 1
    with pytest.raises(exception.SecretUnreadable, match='damaged'):
        keyring.open(put_together(head, bytes(changed)), WHERE)


@pytest.mark.parametrize('length', [0, 1, 11, 12, 13, 27])
def test_a_text_cut_off_does_not_open(keyring, length):
    head, raw = sealed_parts(keyring.seal(SECRET, WHERE))
    with pytest.raises(exception.SecretUnreadable):
        keyring.open(put_together(head, raw[:length]), WHERE)


@pytest.mark.parametrize('text', ['', 'plain', '$delfin$1$', '$delfin$1$nokey', '$delfin$2$a$b'])
def test_what_is_no_sealed_text_does_not_open(keyring, text):
    with pytest.raises(exception.SecretUnreadable):
        keyring.open(text, WHERE)


def test_a_body_that_is_no_base64_does_not_open(keyring):
    with pytest.raises(exception.SecretUnreadable, match='damaged'):
        keyring.open(f'$delfin$1${keyring.key_ids()[0]}$sch\N{LATIN SMALL LETTER O WITH DIAERESIS}n!', WHERE)


def test_a_secret_of_a_lost_key_says_which_key_is_missing(keyring, tmp_path):
    other = tmp_path / 'other'
    key_id, key = new_key()
    write_key_file(other, {key_id: key})
    text = Keyring(str(other)).seal(SECRET, WHERE)
    with pytest.raises(exception.SecretUnreadable, match=f'key {key_id}, which is not in .*; restore the key file'):
        keyring.open(text, WHERE)


def test_another_key_under_the_same_id_does_not_open(keyring, key_file):
    text = keyring.seal(SECRET, WHERE)
    write_key_file(key_file, {keyring.key_ids()[0]: os.urandom(32)})
    with pytest.raises(exception.SecretUnreadable):
        Keyring(str(key_file)).open(text, WHERE)


def test_no_error_holds_any_part_of_the_secret(keyring):
    text = keyring.seal(SECRET, WHERE)
    with pytest.raises(exception.SecretUnreadable) as caught:
        keyring.open(text, 'elsewhere')
    shown = f'{caught.value!s} {caught.value!r} {caught.value.__cause__!r}'
    assert not any(word in shown for word in SECRET.split()) and caught.value.__suppress_context__


def test_a_keyring_does_not_show_its_keys(keyring, key_file):
    keys = read_key_file(key_file)
    shown = f'{keyring!r} {keyring!s}'
    assert not any(base64.b64encode(key).decode() in shown or repr(key) in shown for key in keys.values())


# --- rotation ---

def test_after_a_rotation_the_new_key_seals_and_both_open(keyring):
    old = keyring.seal('old', WHERE)
    keyring.add_newest()
    new = keyring.seal('new', WHERE)
    assert (keyring.open(old, WHERE), keyring.open(new, WHERE)) == ('old', 'new')
    assert (keyring.sealed_with_newest(old), keyring.sealed_with_newest(new)) == (False, True)


def test_the_newest_key_stands_first(keyring):
    first = keyring.key_ids()
    assert keyring.key_ids() == first and [keyring.add_newest(), *first] == keyring.key_ids()


def test_a_dropped_key_opens_nothing_in_a_new_process(keyring, key_file):
    old = keyring.seal('old', WHERE)
    keyring.add_newest()
    keyring.keep_only_newest()
    with pytest.raises(exception.SecretUnreadable):
        Keyring(str(key_file)).open(old, WHERE)


def test_a_running_service_opens_a_message_that_was_sealed_before_its_key_was_dropped(keyring, key_file):
    under_way = Keyring(str(key_file)).seal('x', WHERE)
    rotating = Keyring(str(key_file))
    rotating.add_newest()
    rotating.keep_only_newest()
    keyring.seal('y', WHERE)        # it has read the new file
    assert keyring.open(under_way, WHERE) == 'x'


def test_a_running_service_opens_what_another_sealed_with_a_new_key(keyring, key_file):
    rotating = Keyring(str(key_file))
    rotating.add_newest()
    assert keyring.open(rotating.seal('new', WHERE), WHERE) == 'new'


def test_a_running_service_seals_with_the_new_key_at_once(keyring, key_file):
    """What it sealed with the old one could not be opened once that is dropped."""
    rotating = Keyring(str(key_file))
    rotating.add_newest()
    rotating.keep_only_newest()
    assert Keyring(str(key_file)).open(keyring.seal('x', WHERE), WHERE) == 'x'


def test_a_key_file_that_is_gone_does_not_stop_a_running_service(keyring, key_file):
    text = keyring.seal('x', WHERE)
    key_file.unlink()
    assert keyring.open(text, WHERE) == 'x' and keyring.open(keyring.seal('y', WHERE), WHERE) == 'y'


def test_an_unknown_key_with_the_file_gone_is_still_a_clear_error(keyring, key_file):
    key_file.unlink()
    with pytest.raises(exception.SecretUnreadable, match='restore the key file'):
        keyring.open('$delfin$1$feedbeef$AAAA', WHERE)


# --- the key file ---

def test_a_key_file_is_readable_by_its_owner_only(key_file, keyring):
    modes = [stat.S_IMODE(key_file.stat().st_mode)]
    keyring.add_newest()
    modes.append(stat.S_IMODE(key_file.stat().st_mode))
    assert modes == [0o600, 0o600]


@pytest.mark.parametrize('mode', [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_key_file_that_others_can_read_is_refused_with_the_command_that_helps(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(exception.InvalidConfiguration, match=f'run "chmod 600 {key_file}"'):
        read_key_file(key_file)


@pytest.mark.parametrize('mode', [0o600, 0o400, 0o700])
def test_a_key_file_of_its_owner_alone_is_good(key_file, mode):
    key_file.chmod(mode)
    assert len(read_key_file(key_file)) == 1


def test_keys_come_back_in_their_order(tmp_path):
    keys = dict(new_key() for _ in range(3))
    write_key_file(tmp_path / 'keys', keys)
    assert list(read_key_file(tmp_path / 'keys').items()) == list(keys.items())


def test_comments_and_blanks_are_skipped(tmp_path):
    path = tmp_path / 'keys'
    path.touch(0o600)
    path.write_text(f'# mine\n\n   \n  # more\n k1   {base64.b64encode(bytes(32)).decode()}  \n')
    assert read_key_file(path) == {'k1': bytes(32)}


def test_a_missing_key_file_says_how_to_make_it(tmp_path):
    with pytest.raises(exception.InvalidConfiguration, match='make it with "delfin-manage key generate"'):
        Keyring(str(tmp_path / 'none'))


@pytest.mark.parametrize(('body', 'reason'), [
    ('', 'holds no key'), ('# nothing\n', 'holds no key'), ('k1\n', 'line 1'), ('\nk1 !!!\n', 'line 2'),
    ('k1 QUJD\n', 'line 1'), ('k-1 ' + base64.b64encode(bytes(32)).decode(), 'line 1'),
    ('k1 ' + base64.b64encode(bytes(31)).decode(), 'line 1')])
def test_a_key_file_with_a_fault_names_file_and_line_but_no_key(tmp_path, body, reason):
    path = tmp_path / 'keys'
    path.touch(0o600)
    path.write_text(body)
    with pytest.raises(exception.InvalidConfiguration, match=f'^key file {path}.*{reason}') as caught:
        read_key_file(path)
    assert '\n' not in caught.value.msg and 'QUJD' not in caught.value.msg and 'AAAA' not in caught.value.msg


def test_a_key_file_that_is_no_text_is_one_line(tmp_path):
    path = tmp_path / 'keys'
    path.touch(0o600)
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(exception.InvalidConfiguration, match='^key file .* cannot be read: [^\n]*$'):
        read_key_file(path)


def test_a_folder_is_no_key_file(tmp_path):
    with pytest.raises(exception.InvalidConfiguration, match='cannot be read'):
        read_key_file(tmp_path)


def test_a_write_that_fails_leaves_the_old_keys_and_no_litter(tmp_path, key_file, keyring, monkeypatch):
    before = key_file.read_bytes()

    def fail(*args):
        raise OSError('disk full')
    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError):
        keyring.add_newest()
    assert key_file.read_bytes() == before and [path.name for path in Path(tmp_path).iterdir()] == ['keys']


def test_a_key_that_could_not_be_written_is_not_used(key_file, keyring, monkeypatch):
    """Else secrets would be sealed with a key that no file holds."""
    def fail(*args):
        raise OSError('disk full')
    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', fail)
        with pytest.raises(OSError):
            keyring.add_newest()
    assert Keyring(str(key_file)).open(keyring.seal('x', WHERE), WHERE) == 'x'


# --- a key that is next ---

def test_a_key_that_is_next_opens_but_does_not_seal(keyring, key_file):
    first = keyring.keys().sealing_id
    next_id = keyring.add_next()
    assert key_of(keyring.seal('x', WHERE)) == first
    assert (read_keys(key_file).next_id, keyring.key_ids()) == (next_id, [first, next_id])


def test_asking_twice_for_a_next_key_makes_one(keyring):
    assert keyring.add_next() == keyring.add_next() and len(keyring.key_ids()) == 2


def test_the_next_key_seals_when_it_is_promoted(keyring, key_file):
    old = keyring.seal('old', WHERE)
    next_id = keyring.add_next()
    assert keyring.promote_next() == next_id == key_of(keyring.seal('new', WHERE))
    assert (keyring.keys().next_id, Keyring(str(key_file)).open(old, WHERE)) == (None, 'old')


def test_the_key_that_seals_and_the_next_one_are_never_dropped(keyring):
    keyring.add_next()
    before = keyring.keys()
    keyring.drop(before.keys)
    assert keyring.keys() == before


def test_a_dropped_key_is_kept_aside_for_backups(keyring, key_file):
    (old,) = keyring.key_ids()
    keyring.add_newest()
    keyring.drop([old])
    assert old not in read_key_file(key_file) and old in read_key_file(pruned_file(key_file))
    assert stat.S_IMODE(pruned_file(key_file).stat().st_mode) == 0o600


def test_a_dropped_key_can_be_put_back(keyring, key_file):
    sealed = keyring.seal('x', WHERE)
    newest = keyring.add_newest()
    keyring.drop([key_of(sealed)])
    keyring.put_back([key_of(sealed)])
    assert Keyring(str(key_file)).open(sealed, WHERE) == 'x' and keyring.key_ids()[0] == newest


def test_a_line_of_the_pruned_file_may_be_put_back_by_hand(keyring, key_file):
    sealed = keyring.seal('x', WHERE)
    keyring.add_newest()
    keyring.drop([key_of(sealed)])
    with key_file.open('a') as file:
        file.write(pruned_file(key_file).read_text())
    assert Keyring(str(key_file)).open(sealed, WHERE) == 'x'


@pytest.mark.parametrize('lines', ['k1 {} next\nk2 {} next\nk3 {}', 'k1 {} next', 'k1 {} later', 'k1 {} next next'])
def test_marks_that_make_no_sense_are_refused_without_the_key(tmp_path, lines):
    path = tmp_path / 'keys'
    path.touch(0o600)
    key = base64.b64encode(bytes(32)).decode()
    path.write_text(lines.replace('{}', key))
    with pytest.raises(exception.InvalidConfiguration, match=f'^key file {path}') as caught:
        read_keys(path)
    assert key not in caught.value.msg


# --- files that are replaced while services run ---

def test_a_key_file_that_cannot_be_used_leaves_the_keys_of_before(keyring, key_file, caplog):
    sealed = keyring.seal('x', WHERE)
    key_file.write_text('half a l')
    assert key_of(keyring.seal('y', WHERE)) == key_of(sealed)
    assert keyring.open(sealed, WHERE) == 'x'
    keyring.key_ids()
    assert [record.message for record in caplog.records] == [
        f'the keys of before stay in use: key file {key_file}, line 1: expected "<key id> <base64 of 32 bytes>"']


def test_a_file_copied_with_the_wrong_mode_is_used_once_it_has_the_right_one(keyring, key_file, tmp_path):
    other = tmp_path / 'other'
    write_key_file(other, dict([new_key()]))
    key_file.write_text(other.read_text())
    key_file.chmod(0o644)
    before = keyring.key_ids()
    key_file.chmod(0o600)
    assert keyring.key_ids() == list(read_key_file(other)) != before


def test_an_unknown_key_costs_no_look_into_an_unchanged_file(keyring, key_file, monkeypatch):
    """A storage whose key is lost is asked for again and again."""
    os.utime(key_file, (1, 1))
    keyring.key_ids()
    reads: list[Path] = []
    monkeypatch.setattr(delfin.keyring, 'read_keys', lambda path: reads.append(path))
    for _ in range(3):
        with pytest.raises(exception.SecretUnreadable):
            keyring.open('$delfin$1$feedbeef$AAAA', WHERE)
    assert reads == []


def test_a_file_written_twice_within_one_tick_of_the_clock_is_noticed(keyring, key_file):
    for _ in range(20):
        write_key_file(key_file, dict([new_key()]))
        assert keyring.key_ids() == list(read_key_file(key_file))
        times = key_file.stat().st_atime_ns, key_file.stat().st_mtime_ns
        (key_id, key) = new_key()
        key_file.write_text(f'{key_id} {base64.b64encode(key).decode()}\n'.ljust(key_file.stat().st_size, '\n'))
        os.utime(key_file, ns=times)
        assert keyring.key_ids() == [key_id]


def test_sealing_and_opening_go_on_while_the_file_is_rotated(keyring, key_file):
    ends = threading.Event()

    def use() -> int:
        count = 0
        while not ends.is_set() or not count:
            assert keyring.open(keyring.seal('x', WHERE), WHERE) == 'x'
            count += 1
        return count
    users = [support.in_thread(use) for _ in range(2)]
    rotating = Keyring(str(key_file))
    for _ in range(20):
        rotating.add_next()
        rotating.promote_next()
        rotating.drop(rotating.keys().old_ids)
    ends.set()
    assert all(user.result(20) for user in users)


def test_two_who_change_one_file_lose_no_key(key_file):
    def add() -> list[str]:
        keyring = Keyring(str(key_file))
        return [keyring.add_newest() for _ in range(10)]
    adding = [support.in_thread(add) for _ in range(3)]
    added = [key_id for one in adding for key_id in one.result(20)]
    assert set(added) <= read_key_file(key_file).keys()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')
def test_a_key_file_changed_by_root_stays_the_services_own(keyring, key_file):
    os.chown(key_file, 4711, 4712)
    keyring.add_newest()
    keyring.drop(keyring.keys().old_ids)
    assert [(path.stat().st_uid, path.stat().st_gid) for path in (key_file, pruned_file(key_file))] == [
        (4711, 4712)] * 2


def test_a_link_to_the_key_file_stays_a_link(keyring, key_file, tmp_path):
    link = tmp_path / 'link'
    link.symlink_to(key_file)
    newest = Keyring(str(link)).add_newest()
    assert link.is_symlink() and keyring.key_ids()[0] == newest


# --- rotation of what is stored ---

SECRETS = {'rest': {'host': 'h', 'username': 'u', 'password': 'pw-1'},
           'ssh': {'password': 'pw-2', 'passphrase': 'pw-3'},
           'extra_attributes': {'token': 'pw-4', 'volumes': '5'}}


@pytest.fixture
def stored(database: Database, keyring: Keyring) -> list[str]:
    """Three storages with secrets; the first has an alert source, too."""
    return [store(database, keyring, number) for number in range(3)]


def store(database: Database, keyring: Keyring, number: int) -> str:
    storage_id = support.add_storage(database, f'SN-{number}')
    sealed = access.seal({**SECRETS, 'vendor': 'v', 'model': 'm'}, storage_id, keyring, lambda name: name == 'token')
    with database.write() as connection:
        storages.set_access(connection, storage_id, sealed)
        if not number:
            where = place(storage_id, ALERT_SOURCE, 'auth_key')
            connection.execute(sa.insert(alert_sources), {
                'storage_id': storage_id, 'host': 'h', 'version': 'snmpv3', 'auth_key': keyring.seal('pw-5', where),
                'community_string': 'public', 'created_at': support_now(connection)})
    return storage_id


def support_now(connection: sa.Connection) -> Any:
    from delfin.db.engine import now
    return now(connection)


def readable(database: Database, keyring: Keyring, storage_ids: list[str]) -> None:
    """Every stored secret opens."""
    with database.read() as connection:
        for storage_id in storage_ids:
            opened = access.unseal(storages.access(connection, storage_id), storage_id, keyring)
            assert {name: opened[name] for name in SECRETS} == SECRETS
        for row in connection.execute(sa.select(alert_sources)):
            assert keyring.open(row.auth_key, place(row.storage_id, ALERT_SOURCE, 'auth_key')) == 'pw-5'


def keys_in_use(database: Database, keyring: Keyring) -> set[str]:
    return {secret.key_id for secret in rotation_of(database, keyring).secrets()}


def rotation_of(database: Database, keyring: Keyring, path: Any = 'KEYS') -> Rotation:
    return Rotation(database, keyring, str(path), patience_seconds=0)


def report(database: Database, name: str, key_ids: list[str]) -> None:
    """A live node with these keys."""
    with database.write() as connection:
        ownership.join(connection, ownership.Node(name, 'boot', '1'), key_ids, 60)


def test_one_command_rotates_a_single_installation(database, keyring, key_file, stored):
    (old,) = keyring.key_ids()
    said = rotation_of(database, keyring).rotate()
    (new,) = keyring.key_ids()
    assert new != old and keys_in_use(database, keyring) == {new}
    assert 'the secrets of 3 storages' in said and f'dropped: {old}' in said
    readable(database, Keyring(str(key_file)), stored)


def test_one_command_rotates_when_all_live_nodes_read_the_same_file(database, keyring, key_file, stored):
    service = Keyring(str(key_file))
    ends = threading.Event()

    def beat() -> None:
        while not ends.wait(0.01):
            report(database, 'node-1', service.key_ids())
    report(database, 'node-1', service.key_ids())
    beating = support.in_thread(beat)
    try:
        Rotation(database, keyring, 'KEYS', patience_seconds=10).rotate()
    finally:
        ends.set()
        beating.result(10)
    assert len(keyring.key_ids()) == 1


def test_a_rotation_leaves_no_trace_in_the_access_information(database, keyring, stored):
    """Else every session with an array would be closed because of it."""
    with database.read() as connection:
        before = connection.execute(sa.select(access_info.c.updated_at)).all()
    rotation_of(database, keyring).rotate()
    with database.read() as connection:
        assert connection.execute(sa.select(access_info.c.updated_at)).all() == before


def test_what_is_no_secret_is_left_alone(database, keyring, stored):
    rotation_of(database, keyring).rotate()
    with database.read() as connection:
        row = storages.access(connection, stored[0])
        assert (row['rest']['username'], row['extra_attributes']['volumes'], row['cli']) == ('u', '5', None)
        assert connection.execute(sa.select(alert_sources.c.community_string)).scalar_one() == 'public'


def test_a_node_without_the_new_key_is_named_and_nothing_is_sealed_with_it(database, keyring, stored):
    (old,) = keyring.key_ids()
    report(database, 'node-7', [old])
    with pytest.raises(exception.InvalidConfiguration, match='node node-7 does not know key .* copy KEYS'):
        rotation_of(database, keyring).rotate()
    assert keys_in_use(database, keyring) == {old} == {keyring.keys().sealing_id}


def test_a_rotation_that_was_refused_goes_on_with_the_same_key(database, keyring, stored):
    (old,) = keyring.key_ids()
    report(database, 'node-7', [old])
    with pytest.raises(exception.InvalidConfiguration):
        rotation_of(database, keyring).rotate()
    next_id = keyring.keys().next_id
    report(database, 'node-7', [old, next_id])
    said = rotation_of(database, keyring).rotate()
    assert keyring.key_ids() == [next_id, old] and 'key prune' in said


def test_a_dead_node_holds_nobody_up(database, keyring, stored):
    with database.write() as connection:
        ownership.join(connection, ownership.Node('node-7', 'boot', '1'), [], -1)
    rotation_of(database, keyring).rotate()
    assert len(keyring.key_ids()) == 1


def test_three_steps_rotate_several_hosts(database, keyring, stored):
    (old,) = keyring.key_ids()
    new = keyring.add_next()
    report(database, 'node-7', [old, new])
    rotation_of(database, keyring).rotate()
    assert keyring.key_ids() == [new, old] and keys_in_use(database, keyring) == {new}
    report(database, 'node-7', [new, old])
    rotation_of(database, keyring).prune()
    assert keyring.key_ids() == [new]


def test_no_key_is_dropped_while_a_node_seals_with_it(database, keyring, stored):
    (old,) = keyring.key_ids()
    new = keyring.add_next()
    report(database, 'node-7', [old, new])
    rotation_of(database, keyring).rotate()
    with pytest.raises(exception.InvalidConfiguration, match=f'node node-7 does not seal with key {new} yet'):
        rotation_of(database, keyring).prune()
    assert keyring.key_ids() == [new, old]


def test_what_a_late_host_has_sealed_is_sealed_anew_before_its_key_is_dropped(database, keyring, key_file, tmp_path,
                                                                              stored):
    late = tmp_path / 'late'
    late.touch(0o600)
    late.write_bytes(key_file.read_bytes())
    keyring.add_next()
    rotation_of(database, keyring).rotate()
    other = store(database, Keyring(str(late)), 9)
    rotation_of(database, keyring).prune()
    readable(database, Keyring(str(key_file)), [*stored, other])


def test_a_secret_that_nobody_can_open_keeps_its_key_and_is_named(database, keyring, stored):
    (old,) = keyring.key_ids()
    with database.write() as connection:
        connection.execute(sa.update(access_info).where(access_info.c.storage_id == stored[1]), {
            'cli': {'password': keyring.seal('x', 'another place')}})
    with pytest.raises(exception.InvalidConfiguration, match=f'not all: .*{stored[1]}/cli/password is damaged'):
        rotation_of(database, keyring).rotate()
    with pytest.raises(exception.InvalidConfiguration, match=(
            f'no key was dropped: .*cli password of storage {stored[1]}, .* still need key {old}; .*damaged')):
        rotation_of(database, keyring).prune()
    readable(database, keyring, [stored[0], stored[2]])


def test_a_secret_of_a_lost_key_does_not_keep_other_keys(database, keyring, stored):
    with database.write() as connection:
        connection.execute(sa.update(access_info).where(access_info.c.storage_id == stored[1]), {
            'rest': None, 'ssh': None, 'extra_attributes': {'token': '$delfin$1$feedbeef$AAAA'}})
    keyring.add_newest()
    rotation_of(database, keyring).prune()
    assert len(keyring.key_ids()) == 1


def test_a_secret_that_was_stored_during_the_drop_gets_its_key_back(database, keyring, key_file, stored, monkeypatch):
    """Its transaction began long before and ended between the last look and the drop."""
    late = Keyring(str(key_file)).seal('pw-2', place(stored[0], 'ssh', 'password'))
    keyring.add_newest()
    drop = Keyring.drop

    def meanwhile(self: Keyring, key_ids: Any) -> None:
        with database.write() as connection:
            row = storages.access(connection, stored[0])
            storages.set_access(connection, stored[0], {'ssh': {**row['ssh'], 'password': late}})
        drop(self, key_ids)
    monkeypatch.setattr(Keyring, 'drop', meanwhile)
    with pytest.raises(exception.InvalidConfiguration, match='no key was dropped: ssh password .* at this very moment'):
        rotation_of(database, keyring).prune()
    readable(database, Keyring(str(key_file)), stored)


def test_the_list_of_keys_shows_what_each_is_for_and_no_key(database, keyring, key_file, stored):
    (old,) = keyring.key_ids()
    new = keyring.add_next()
    said = rotation_of(database, keyring).listing()
    assert said.splitlines() == [f'{old}  seals, 13 secrets', f'{new}  is to be next, 0 secrets']
    assert not any(base64.b64encode(key).decode() in said for key in read_key_file(key_file).values())


# --- a crash at any point ---

class Crash(BaseException):
    """The process ends here."""


class CrashPoints:
    """Ends the process before the n-th thing that would reach a disk, or right after it."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int, after: bool) -> None:
        self._left = number
        self._after = after
        patch.setattr(os, 'replace', self._around(os.replace))
        patch.setattr(Database, 'write', self._committed(Database.write))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            self._point(False)
            result = function(*args)
            self._point(True)
            return result
        return wrapped

    def _committed(self, write: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def wrapped(database: Database) -> Iterator[sa.Connection]:
            with write(database) as connection:
                yield connection
                self._point(False)
            self._point(True)
        return wrapped

    def _point(self, after: bool) -> None:
        if after == self._after:
            self._left -= 1
            if not self._left:
                raise Crash


POINTS = 8      # key added, promoted, three storages, an alert source, old key set aside, old key dropped


@pytest.mark.parametrize('after', [False, True], ids=['before', 'after'])
@pytest.mark.parametrize('number', range(1, POINTS + 1))
def test_after_a_crash_everything_is_readable_and_the_rotation_can_be_repeated(
        database, keyring, key_file, stored, number, after):
    first = keyring.key_ids()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        CrashPoints(patch, number, after)
        rotation_of(database, Keyring(str(key_file))).rotate()
    readable(database, Keyring(str(key_file)), stored)
    rotation_of(database, Keyring(str(key_file))).rotate()
    rotation_of(database, Keyring(str(key_file))).prune()       # the key may have been taken for one being distributed
    again = Keyring(str(key_file))
    readable(database, again, stored)
    assert len(again.key_ids()) == 1 and again.key_ids() != first and keys_in_use(database, again) == {
        again.keys().sealing_id}


def test_there_are_no_more_points_to_crash_at(database, key_file, stored):
    with pytest.MonkeyPatch.context() as patch:
        CrashPoints(patch, POINTS + 1, False)
        rotation_of(database, Keyring(str(key_file))).rotate()


# --- any order of commands on two hosts ---

class TwoHosts(stateful.RuleBasedStateMachine):
    """An operator who runs the commands on one host in any order, and copies its file to the other now and then."""

    @stateful.initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.files = [root / 'here', root / 'there']
        write_key_file(self.files[0], dict([new_key()]))
        self.copy()
        self.database = Database(f'sqlite:///{root}/delfin.sqlite')
        Schema(self.database).upgrade()
        self.services = [Keyring(str(path)) for path in self.files]
        self.storages: list[str] = []
        self.register(0)

    def teardown(self) -> None:
        if hasattr(self, 'database'):
            self.database.close()
            self.folder.cleanup()

    @stateful.rule(host=st.sampled_from([0, 1]))
    def register(self, host: int) -> None:
        self.storages.append(store(self.database, self.services[host], len(self.storages)))

    @stateful.rule(host=st.sampled_from([0, 1]))
    def restart(self, host: int) -> None:
        self.services[host] = Keyring(str(self.files[host]))

    @stateful.rule()
    def copy(self) -> None:
        self.files[1].touch(0o600)
        self.files[1].write_bytes(self.files[0].read_bytes())

    @stateful.rule()
    def add(self) -> None:
        Keyring(str(self.files[0])).add_next()

    @stateful.rule(command=st.sampled_from(['rotate', 'prune']))
    def change(self, command: str) -> None:
        for number, service in enumerate(self.services):
            report(self.database, f'node-{number}', service.key_ids())
        with contextlib.suppress(exception.InvalidConfiguration):
            getattr(rotation_of(self.database, Keyring(str(self.files[0]))), command)()

    @stateful.invariant()
    def both_hosts_read_everything(self) -> None:
        for path in getattr(self, 'files', []):
            readable(self.database, Keyring(str(path)), self.storages)


TestTwoHosts = TwoHosts.TestCase
TestTwoHosts.settings = settings(max_examples=8, stateful_step_count=20, deadline=None, derandomize=True,
                                 database=None)
