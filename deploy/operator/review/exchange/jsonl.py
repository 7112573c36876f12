"""Our own lines: an item of the queue, and what a person filled in.

    {"id": "...", "question": "...", "answer": "...", "why": ["..."], "verdict": "correct", "text": "loan"}

`verdict` is empty (left for later), accept, correct (with `text`) or score (with `score`, 0 to 1)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from deploy.operator.review.answers import ReviewAnswer
from deploy.operator.review.exchange.documents import answer, lines
from deploy.operator.review.queue import ReviewItem


class FilledLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line."""

    id: str
    question: str = ""
    answer: str = ""
    why: list[str] = []
    verdict: str = ""
    text: str = ""
    score: float | None = None


def written(items: Sequence[ReviewItem], alias: str) -> bytes:
    """Return the items, to be filled in."""
    rows = (FilledLine(id=each.id, question=each.question, answer=each.answer, why=each.why) for each in items)
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def read(data: bytes) -> list[ReviewAnswer]:
    """Return the answers. Raise ValueError naming line and field."""
    rows = [(place, row) for place, row in lines(data, FilledLine) if row.verdict]
    return [_answer(place, row) for place, row in rows]


def _answer(place: str, row: FilledLine) -> ReviewAnswer:
    return answer(place, lambda: ReviewAnswer(row.id, row.verdict, row.text, row.score))  # type: ignore[arg-type]
