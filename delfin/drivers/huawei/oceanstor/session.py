# SPDX-License-Identifier: Apache-2.0
"""How one talks to the array: token and cookie, an envelope around every answer, ranges, and many questions at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import quote

from delfin import exception
from delfin.drivers import kit
from delfin.drivers.huawei.oceanstor import codes
from delfin.drivers.kit.errors import ConnectionBroke

LOG = logging.getLogger(__name__)

Reply = dict[str, Any]

PAGE_SIZE: Final = 100          # more is not safe everywhere
BATCH_SIZE: Final = 100
SCOPE_OPTION, LOCAL_USERS = 'scope', '0'
_ANY_DEVICE: Final = 'xxxxx'    # until the array has said what it is called
_BATCHES: Final = '/server/compositeinfo'
_FIRST_ERROR: Final = 400       # of HTTP statuses
_REFUSALS: Final = (kit.NotThere, kit.Refused)
_OF_ONE: Final = (*_REFUSALS, codes.BadParameter)       # what is wrong with one question and no other


class Question(NamedTuple):
    """A GET."""

    path: str
    query: Mapping[str, Any]


class OceanStorSession(kit.RestSession):
    """A token in a header and a cookie. Of 32 sessions that an array has, this is one."""

    BASE, WORDS = '/deviceManager/rest', 'error.description'
    QUERY_SAFE = '/:,'
    ERRORS = codes.ERRORS
    LIMITS: ClassVar[kit.Limits] = kit.Limits(at_once=8)

    def __init__(self, **access: Any) -> None:
        super().__init__(**access)
        self._device = _ANY_DEVICE
        self._scope = str((access.get('extra_attributes') or {}).get(SCOPE_OPTION) or LOCAL_USERS)
        self._takes_batches: bool | None = None         # nobody has tried

    def log_in(self, username: str, password: str) -> None:
        """See `RestSession`. Refused accounts are logged out again."""
        told = self.post('/sessions', {'username': username, 'password': password, 'scope': self._scope})
        self.headers['iBaseToken'] = str(told['iBaseToken'])
        self._device = quote(str(told['deviceid']), safe='')
        reason = codes.ACCOUNT_STATES.get(str(told.get('accountstate')).strip())
        if reason is not None:
            self._leave()
            raise exception.InvalidCredential(message=f'{self.host} accepts user name and password, but {reason}.')

    def log_out(self) -> None:
        """See `RestSession`."""
        self.delete('/sessions')

    def _leave(self) -> None:
        try:
            self.log_out()
        except exception.DelfinException as error:
            LOG.info('logging out of %s failed: %s', self.host, error)

    # --- answers ---

    def url_of(self, path: str) -> str:
        """Below the array's own name."""
        return f'{self.BASE}/{self._device}{path}'

    def code_of(self, status: int, body: Any) -> int | str | None:
        """`error.code`, which is 0 or '0' in a good answer. An answer without it is none, except that to a batch."""
        if 'error' in body:
            return int(body['error']['code']) or (status if status >= _FIRST_ERROR else None)
        if status >= _FIRST_ERROR:
            return status
        if _parts(body) is None:
            raise KeyError('error')
        return None

    def payload(self, body: Any) -> Any:
        """`data`, None if there is none; of a batch, what each part came to."""
        parts = _parts(body)
        return body.get('data') if parts is None else {key: self._part(part) for key, part in parts.items()}

    def _part(self, body: Mapping[str, Any]) -> Any:
        try:
            return self.answer_of(body, 'a question of a batch')
        except _OF_ONE as error:
            return error

    # --- lists ---

    def rows(self, path: str, **query: Any) -> Iterator[Reply]:
        """All objects of a collection, page by page; none of one of `codes.OPTIONAL` that the array refuses to list."""
        return self._pages(Question(path, query), _REFUSALS if path in codes.OPTIONAL else ())

    def rows_of_each(self, questions: Sequence[Question]) -> list[list[Reply]]:
        """The same for the collections of many objects, most of which fit into a page; [] for objects that are gone."""
        first = self.ask_all([Question(path, {**query, 'range': _range(0)}) for path, query in questions])
        return [list(self._pages(question, _REFUSALS if question.path in codes.OPTIONAL else (kit.NotThere,), answer))
                for question, answer in zip(questions, first, strict=True)]

    def _pages(self, question: Question, none: tuple[type[Exception], ...], *first: Any) -> Iterator[Reply]:
        """`none` are errors in place of the first page that mean that there is nothing; `first` is the answer to it, if
        it has come already.
        """
        path, query = question

        def page(start: int, size: int) -> list[Reply]:
            try:
                answer = first[0] if first and start == 0 else self.get(path, **query, range=_range(start))
                if isinstance(answer, Exception):
                    raise answer
            except none as error:
                if start:
                    raise
                LOG.info('%s has nothing at %s: %s', self.host, path, error)
                return []
            return _listed(answer)
        return kit.by_offset(page, PAGE_SIZE, key=lambda row: row.get('ID') or row)

    # --- many questions ---

    def ask_all(self, questions: Sequence[Question]) -> list[Any]:
        """What each question came to: the data, or the error of one that the array refuses. In batches; if the array
        does not take these, a few at once.
        """
        if len(questions) > 1 and self._takes_batches is None:
            self._takes_batches = self._batch(questions[:1]) is not None
            LOG.debug('%s %s batches', self.host, 'takes' if self._takes_batches else 'does not take')
        if len(questions) <= 1 or not self._takes_batches:
            return self.gather(self._ask, questions)
        batches = [questions[start:start + BATCH_SIZE] for start in range(0, len(questions), BATCH_SIZE)]
        return [answer for answers in self.gather(self._ask_batch, batches) for answer in answers]

    def _ask(self, question: Question) -> Any:
        try:
            return self.get(question.path, **question.query)
        except _OF_ONE as error:
            return error

    def _ask_batch(self, questions: Sequence[Question]) -> list[Any]:
        answers = self._batch(questions)
        return [self._ask(question) for question in questions] if answers is None else answers

    def _batch(self, questions: Sequence[Question]) -> list[Any] | None:
        """The answers to a batch; None if the array answers in another way than is known."""
        body = {f'q{number}': {'method': 'GET', 'url': self.address_of(path, **query)}
                for number, (path, query) in enumerate(questions)}
        try:
            answers = self.call('POST', _BATCHES, body, reads=True)
        except ConnectionBroke:
            raise
        except (*_OF_ONE, exception.BadResponse, exception.NotAuthorized) as error:     # or this account may not
            LOG.info('%s takes no batches: %s', self.host, error)
            return None
        if not isinstance(answers, Mapping) or not answers.keys() & body.keys():
            return None
        return [answers[key] if key in answers else self._ask(question)
                for key, question in zip(body, questions, strict=True)]


def _range(start: int) -> str:
    return f'[{start}-{start + PAGE_SIZE}]'


def _listed(answer: Any) -> list[Reply]:
    """The objects of a page; a page without data is empty."""
    if answer is None:
        return []
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise exception.BadResponse(message='The array sent something else than a list of objects.')
    return answer


def _parts(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The answers in the answer to a batch, which stand there by key or so in `data`; None in any other answer."""
    for found in (body, body.get('data')):
        if isinstance(found, Mapping) and found and all(
                isinstance(part, Mapping) and 'error' in part for part in found.values()):
            return found
    return None
