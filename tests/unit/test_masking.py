# SPDX-License-Identifier: Apache-2.0
"""Known secrets never survive in log lines and error texts, whatever form they take there."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import logging
import re
import urllib.parse
import warnings

import orjson
import pytest
import requests.utils
from hypothesis import assume, given
from hypothesis import strategies as st

from delfin.common.masking import MASK, Masker, MaskingFilter, install
from tests.unit.support import Unprintable, masker_for

# The mask's own character is left out: "a***" masked inside "aa***" reads "a***" again, by chance.
CHARACTERS = st.characters(exclude_categories=['Cs'], exclude_characters='*')
SECRETS = st.text(CHARACTERS, min_size=6, max_size=40)
AROUND = st.text(CHARACTERS, max_size=20)


def never_survives(form, secret, before='', after='', inner=None):
    """Mask `form`, a text that shows `secret` in some way; `inner` is how the secret alone looks there."""
    masked = masker_for(secret).mask(form)
    assert (inner or secret) not in masked and MASK in masked


@given(SECRETS, AROUND, AROUND)
def test_a_plain_secret(secret, before, after):
    never_survives(before + secret + after, secret)


@given(SECRETS, AROUND, AROUND)
def test_a_secret_in_percent_encoding(secret, before, after):
    encoded = urllib.parse.quote(secret)
    never_survives(urllib.parse.quote(before) + encoded + urllib.parse.quote(after), secret, inner=encoded)


@given(SECRETS, AROUND, AROUND)
def test_a_secret_in_a_query_string(secret, before, after):
    encoded = urllib.parse.quote_plus(secret)
    never_survives(urllib.parse.urlencode({'user': before, 'password': secret, 'next': after}), secret, inner=encoded)


@given(SECRETS)
def test_a_secret_in_percent_encoding_with_small_letters(secret):
    encoded = re.sub('%..', lambda match: match[0].lower(), urllib.parse.quote(secret, safe=''))
    never_survives(f'/login?p={encoded}', secret, inner=encoded)


@given(SECRETS.filter(lambda secret: '%' not in secret))
def test_a_secret_in_a_url_that_requests_put_into_shape(secret):
    """requests leaves @ ! $ and others alone; its errors quote the URL."""
    url = f'https://array/login/{secret}/x'
    requoted = requests.utils.requote_uri(url)
    never_survives(requoted, secret, inner=requoted.removeprefix('https://array/login/').removesuffix('/x'))


@given(SECRETS, AROUND, AROUND, st.booleans())
def test_a_secret_in_json(secret, before, after, ascii_only):
    inner = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    never_survives(json.dumps({'user': before, 'x': f'{before}{secret}{after}'}, ensure_ascii=ascii_only), secret,
                   inner=inner)


@given(SECRETS)
def test_a_secret_in_json_as_delfin_writes_it(secret):
    never_survives(orjson.dumps({'password': secret}).decode(), secret, inner=orjson.dumps(secret).decode()[1:-1])


@given(SECRETS)
def test_the_repr_of_a_secret(secret):
    never_survives(f'login({secret!r}) failed', secret, inner=repr(secret)[1:-1])


QUOTED = st.text('\'"\\ab\n\x80', max_size=12)


@given(QUOTED.filter(lambda secret: len(secret) >= 6), QUOTED, QUOTED)
def test_the_repr_of_a_text_around_a_secret(secret, before, after):
    """How quotes are escaped depends on all quotes of the text, the neighbours' included."""
    shown = repr(before + secret + after)
    masked = masker_for(secret).mask(shown)
    # The mask may take a quote along: nothing to read any more.
    with contextlib.suppress(SyntaxError), warnings.catch_warnings(action='ignore'):
        masked = ast.literal_eval(masked)
    assert secret not in masked


def test_a_password_with_an_apostrophe_in_the_repr_of_a_json_body():
    r"""A driver logs `repr(body)`: repr writes the apostrophe as \'."""
    masked = masker_for("it's-mine").mask(repr('{"password": "it\'s-mine"}'))
    assert 's-mine' not in masked


@given(SECRETS, st.binary(max_size=8), st.binary(max_size=8), st.booleans())
def test_a_secret_in_base64_at_any_offset(secret, before, after, url_safe):
    """Basic authentication: base64 of "user:password"."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    raw = secret.encode()
    masked = masker_for(secret).mask(f'Authorization: Basic {encode(before + raw + after).decode()}')
    assert MASK in masked
    for piece in re.split(r'[^A-Za-z0-9+/_-]+', masked):
        for start in range(4):
            text = piece[start:].translate(str.maketrans('-_', '+/'))
            decoded = base64.b64decode(text[:len(text) // 4 * 4])
            assert raw not in decoded


@given(SECRETS, AROUND)
def test_a_secret_as_hexadecimal_bytes(secret, before):
    never_survives((before + secret).encode().hex(), secret, inner=secret.encode().hex())


@given(st.lists(SECRETS, min_size=1, max_size=5), AROUND)
def test_of_several_secrets_none_survives(secrets, around):
    """Also when one is the beginning of another."""
    secrets = [*secrets, secrets[0] + 'more']
    masked = masker_for(*secrets).mask(around.join(['', *secrets, '']))
    assert not any(secret in masked for secret in secrets)


def test_of_a_secret_that_begins_like_another_no_rest_is_left():
    assert masker_for('abcdef', 'abcdef-and-more').mask('x abcdef-and-more abcdef y') == f'x {MASK} {MASK} y'


@given(st.text())
def test_a_text_without_secrets_stays_as_it_is(text):
    assume('hunter2' not in text)
    assert masker_for('hunter2-hunter2').mask(text) == text


def test_special_characters_of_regular_expressions_are_nothing_special():
    assert masker_for('.+?|()[]').mask('a .+?|()[] b') == f'a {MASK} b'


@pytest.mark.parametrize('secret', ['', 'a', 'abc'])
def test_a_secret_too_short_to_mask_leaves_the_log_readable(secret):
    assert masker_for(secret).mask('abc abcdef') == 'abc abcdef'


def test_a_secret_of_four_characters_is_masked():
    assert masker_for('abcd').mask('x abcd x') == f'x {MASK} x'


# --- learning and forgetting ---

def test_an_old_password_stays_masked_after_a_change():
    """Log lines about the old one may still come."""
    masker = masker_for('first word')
    masker.learn('storage', ['second word'])
    assert masker.mask('first word, second word') == f'{MASK}, {MASK}'


def test_a_forgotten_storage_frees_its_secrets():
    masker = masker_for('first word')
    masker.forget('storage')
    assert masker.mask('first word') == 'first word'


def test_a_secret_that_another_storage_shares_stays_masked():
    masker = masker_for('shared word')
    masker.learn('other', ['shared word'])
    masker.forget('storage')
    assert masker.mask('shared word') == MASK


def test_forgetting_an_unknown_storage_is_harmless():
    Masker().forget('nobody')


# --- the logger ---

@pytest.fixture
def log():
    """A logger whose handler has the filter, and what it wrote."""
    out = io.StringIO()
    logger = logging.Logger('test')
    handler = logging.StreamHandler(out)
    handler.addFilter(MaskingFilter(masker_for('s3cret-word')))
    logger.addHandler(handler)
    logger.written = out.getvalue
    return logger


def test_a_secret_in_the_message_is_masked(log):
    log.info('password s3cret-word')
    assert log.written() == f'password {MASK}\n'


def test_a_secret_in_an_argument_is_masked(log):
    log.info('password %s of %d', 's3cret-word', 7)
    assert log.written() == f'password {MASK} of 7\n'


def test_a_secret_in_a_named_argument_is_masked(log):
    log.info('password %(p)s', {'p': 's3cret-word'})
    assert log.written() == f'password {MASK}\n'


def test_a_secret_inside_an_object_is_masked(log):
    log.info('body %s', {'password': 's3cret-word'})
    assert 's3cret-word' not in log.written()


def test_a_secret_put_together_by_the_format_is_masked(log):
    log.info('s3cret-%s', 'word')
    assert log.written() == f'{MASK}\n'


def test_a_percent_sign_beside_a_masked_secret_does_no_harm(log):
    log.info('100%% of %s', 's3cret-word')
    assert log.written() == f'100% of {MASK}\n'


def test_other_messages_stay_as_they_are(log):
    log.info('100%% of %s', 'nothing')
    assert log.written() == '100% of nothing\n'


def test_a_secret_in_a_traceback_is_masked(log):
    try:
        raise ValueError('login with s3cret-word failed')
    except ValueError:
        log.exception('it failed')
    assert 's3cret-word' not in log.written() and 'ValueError' in log.written() and 'it failed' in log.written()


def test_a_secret_in_the_cause_of_an_error_is_masked(log):
    try:
        try:
            raise ValueError('s3cret-word')
        except ValueError as error:
            raise RuntimeError('outer') from error
    except RuntimeError:
        log.exception('it failed')
    assert 's3cret-word' not in log.written() and 'outer' in log.written()


def test_a_traceback_without_secrets_stays_as_it_is(log):
    try:
        raise ValueError('harmless')
    except ValueError:
        log.exception('it failed')
    assert log.written().startswith('it failed\nTraceback') and 'harmless' in log.written()


def test_a_percent_sign_in_a_masked_traceback_does_no_harm(log):
    try:
        raise ValueError('100%s s3cret-word')
    except ValueError:
        log.exception('%d%% failed', 50)
    assert log.written().startswith('50% failed\n') and 's3cret-word' not in log.written()


@pytest.mark.parametrize(('message', 'arguments'), [
    ('%s and %s', ('s3cret-word',)), ('%d', ('s3cret-word',)), ('no place', ('s3cret-word',))],
    ids=['missing', 'no number', 'surplus'])
def test_a_broken_format_does_not_let_the_secret_out(log, capsys, message, arguments):
    """logging writes message and arguments of such a record to stderr."""
    log.info(message, *arguments)
    assert 's3cret-word' not in log.written() + capsys.readouterr().err


@pytest.mark.parametrize(('message', 'arguments'), [
    ('%(missing)s', ({'a': 1},)), ('%s', (Unprintable(),)), ('%s %s', ('x',))],
    ids=['no such name', 'unprintable', 'too few'])
def test_a_record_that_cannot_be_written_does_not_break_its_caller(log, capsys, message, arguments):
    log.info(message, *arguments)


def test_every_handler_is_covered_whichever_comes_first():
    logger, outs = logging.Logger('test'), [io.StringIO(), io.StringIO()]
    for out in outs:
        handler = logging.StreamHandler(out)
        handler.addFilter(MaskingFilter(masker_for('s3cret-word')))
        logger.addHandler(handler)
    try:
        raise ValueError('s3cret-word')
    except ValueError:
        logger.exception('failed with %s', 's3cret-word')
    assert ['s3cret-word' in out.getvalue() for out in outs] == [False, False]


def test_the_net_hangs_under_the_handlers_of_the_root_logger(monkeypatch):
    """So that records of every library's logger fall into it."""
    out = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), 'handlers', [logging.StreamHandler(out)])
    install(masker_for('s3cret-word'))
    logging.getLogger('some.library').warning('s3cret-word')
    assert out.getvalue() == f'{MASK}\n'
