# SPDX-License-Identifier: Apache-2.0
"""The net below the rope: known secrets are cut out of log lines and error texts, in every form they may take there."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import urllib.parse
from collections.abc import Iterable

MASK = '***'
# Base64 characters that depend on what stands before a text (by the bytes before it, modulo 3) and after it (by the
# bytes of the last group).
_HEAD = (0, 2, 3)
_TAIL = (0, 3, 2)
_SHORTEST_CORE = 6
_QUOTES = ('', '"', "'", '\'"')
_URL_SAFE = ('', '/', "!#$%&'()*+,/:;=?@[]~", "!$&'()*+,/:;=?@~")      # what the usual libraries leave as it is
_PERCENT = re.compile('%[0-9A-F]{2}')
_SHORTEST = 4       # a shorter "secret" would mask half of every log


class Masker:
    """Knows the secrets in use and replaces them in text. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: dict[str, set[str]] = {}
        self._pattern: re.Pattern[str] | None = None

    def learn(self, owner: str, secrets: Iterable[str]) -> None:
        """From now on mask these secrets of `owner` (a storage id), besides those it had before."""
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        with self._lock:
            if forms <= self._secrets.get(owner, set()):
                return
            self._secrets.setdefault(owner, set()).update(forms)
            self._compile()

    def forget(self, owner: str) -> None:
        """The storage is gone."""
        with self._lock:
            if self._secrets.pop(owner, None):
                self._compile()

    def mask(self, text: str) -> str:
        """`text` without any known secret."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)

    def _compile(self) -> None:
        forms = sorted({form for forms in self._secrets.values() for form in forms}, key=len, reverse=True)
        self._pattern = re.compile('|'.join(map(re.escape, forms))) if forms else None


def _forms(secret: str) -> set[str]:
    raw = secret.encode('utf-8', 'surrogatepass')
    forms = {raw.hex()}
    for text in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        # What repr() makes of it depends on the quotes that stand around it.
        forms |= {text, *(repr(f'{text}|{quotes}')[1:].rpartition('|')[0] for quotes in _QUOTES)}
    for quoted in (*(urllib.parse.quote(raw, safe=safe) for safe in _URL_SAFE), urllib.parse.quote_plus(raw)):
        forms |= {quoted, _PERCENT.sub(lambda match: match[0].lower(), quoted)}
    # Base64 of the secret inside a longer text ("user:password") shifts by up to two bytes: the part that does not
    # depend on the neighbours.
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms.add(encode(raw).decode('ascii'))
        for shift, head in enumerate(_HEAD):
            text = encode(b'\0' * shift + raw).decode('ascii')
            core = text[head:len(text) - _TAIL[(shift + len(raw)) % 3]]
            if len(core) >= _SHORTEST_CORE:
                forms.add(core)
    return {form for form in forms if len(form) >= _SHORTEST}


class MaskingFilter(logging.Filter):
    """Masks the finished text of every record, its traceback included."""

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._masker = masker

    def filter(self, record: logging.LogRecord) -> bool:
        if self._masker._pattern is None:
            return True
        try:
            message = record.getMessage()
        except Exception:       # a format that does not fit: logging would print the arguments, secrets among them
            record.msg, record.args = f'{record.msg!r} (log line with arguments that do not fit)', ()
            message = record.msg
        masked = self._masker.mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0] is not None:
            text = logging.Formatter().formatException(record.exc_info)
            if self._masker.mask(text) != text:
                record.exc_info, record.exc_text = None, None
                record.msg, record.args = f'{record.getMessage()}\n{self._masker.mask(text)}', ()
        return True


def install(masker: Masker) -> None:
    """Put the net under every handler of the root logger (handlers, not loggers: they see the children's records)."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(MaskingFilter(masker))
