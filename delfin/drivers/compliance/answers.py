# SPDX-License-Identifier: Apache-2.0
"""What a replayed array answers to what."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

Question = TypeVar('Question')
Answer = TypeVar('Answer')


class Answers(Generic[Question, Answer]):
    """Of several answers to one question each is given once, in their order, and the last one for ever. For any number
    of threads. `missing` are the questions that had none.
    """

    def __init__(self, given: Iterable[tuple[Question, Answer]]) -> None:
        self._lock = threading.Lock()
        self._left: dict[Question, list[Answer]] = {}
        for question, answer in given:
            self._left.setdefault(question, []).append(answer)
        self.missing: list[Question] = []

    def to(self, question: Question) -> Answer | None:
        """The next answer; None if there is none."""
        with self._lock:
            left = self._left.get(question)
            if not left:
                self.missing.append(question)
                return None
            return left.pop(0) if len(left) > 1 else left[0]
