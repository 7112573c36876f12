"""The last answers, kept in memory to judge labels that no digest can judge."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import NamedTuple


class RecentAnswer(NamedTuple):
    """What a label is compared with, and by pseudonyms who asked and in which conversation."""

    text: str
    user: str = ""
    conversation: str = ""


class RecentAnswers:
    """The last answers by event id, as many as fit and as many bytes. A stream's id carries no digest of its answer."""

    def __init__(self, capacity: int, most_bytes: int) -> None:
        self._capacity, self._most_bytes, self._bytes = capacity, most_bytes, 0
        self._answers: OrderedDict[str, RecentAnswer] = OrderedDict()

    def add(self, event_id: str, answer: RecentAnswer) -> None:
        """Keep the answer, and let the oldest go where there is no room."""
        self._answers[event_id] = answer
        self._bytes += _size(answer)
        while self._answers and (len(self._answers) > self._capacity or self._bytes > self._most_bytes):
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= _size(oldest)

    def get(self, event_id: str) -> RecentAnswer | None:
        """Return the answer; None where it is not kept any more."""
        return self._answers.get(event_id)


def _size(answer: RecentAnswer) -> int:
    return sum(map(sys.getsizeof, answer))
