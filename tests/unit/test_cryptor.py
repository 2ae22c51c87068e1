# SPDX-License-Identifier: Apache-2.0
"""The two functions drivers use for secrets."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import cryptor


@given(st.text())
def test_what_is_encoded_can_be_decoded(secret):
    assert cryptor.decode(cryptor.encode(secret)) == secret


@given(st.text())
def test_what_is_encoded_twice_takes_two_steps_back(secret):
    """A driver that encodes what is encoded already, as the old ones do, gets back what it put in."""
    once = cryptor.encode(secret)
    assert cryptor.decode(cryptor.encode(once)) == once


@given(st.text())
def test_plain_base64_is_decoded_as_tests_of_drivers_write_it(secret):
    assert cryptor.decode(base64.b64encode(secret.encode()).decode()) == secret


@given(st.text(min_size=6))
def test_an_encoded_text_does_not_show_the_secret(secret):
    text = cryptor.encode(secret)
    raw = base64.b64decode(text.partition(':')[2])
    assert secret not in text and secret.encode() not in raw


def test_one_secret_never_looks_the_same_twice():
    assert cryptor.encode('secret') != cryptor.encode('secret')


@pytest.mark.parametrize('text', [
    'pass word!', 'not base64 §', 'delfin:', 'delfin:AAAA', 'delfin:' + base64.b64encode(b'x' * 60).decode(),
    'delfin:not base64', 'YQ=', base64.b64encode(b'\xff\xfe').decode()])
def test_what_cannot_be_decoded_is_a_value_error_that_does_not_quote_it(text):
    with pytest.raises(ValueError, match='^a secret cannot be decoded: ') as caught:
        cryptor.decode(text)
    assert text.removeprefix('delfin:') not in str(caught.value) or text == 'delfin:'
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None


def test_a_damaged_text_does_not_open():
    text = cryptor.encode('secret')
    raw = bytearray(base64.b64decode(text.partition(':')[2]))
    raw[20] ^= 1
    with pytest.raises(ValueError):
        cryptor.decode('delfin:' + base64.b64encode(bytes(raw)).decode())


def test_another_process_cannot_read_what_this_one_encoded():
    """What a driver logs or dumps is worthless elsewhere."""
    script = f'from delfin import cryptor; print(cryptor.decode({cryptor.encode("the secret")!r}))'
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'encoded in another process' in done.stderr and 'the secret' not in done.stdout + done.stderr
