# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: sealing, places, rotation, the key file."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.keyring import Keyring, is_sealed, new_key, place, read_key_file, write_key_file

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


def test_a_dropped_key_opens_nothing_any_more(keyring):
    old = keyring.seal('old', WHERE)
    keyring.add_newest()
    keyring.keep_only_newest()
    with pytest.raises(exception.SecretUnreadable):
        keyring.open(old, WHERE)


def test_a_running_service_opens_what_another_sealed_with_a_new_key(keyring, key_file):
    rotating = Keyring(str(key_file))
    rotating.add_newest()
    assert keyring.open(rotating.seal('new', WHERE), WHERE) == 'new'


def test_a_running_service_seals_with_the_new_key_at_once(keyring, key_file):
    """What it sealed with the old one could not be opened once that is dropped."""
    rotating = Keyring(str(key_file))
    rotating.add_newest()
    rotating.keep_only_newest()
    assert rotating.open(keyring.seal('x', WHERE), WHERE) == 'x'


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
