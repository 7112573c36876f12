"""What an event is, besides its numbers: categories it falls into, and what its text is like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from monitor.rows import ScoreRows

COLUMNS = ("answer", "finish_reason", "language")
TEXT = "texts"
MOST = 60  # kinds of a column; more of them are no categories but free text
COVERED = 0.95  # of the reference's events must have a value for it to be a column of categories
LONGEST = 48


class Traits(msgspec.Struct, frozen=True, array_like=True):
    """Categories are empty where they are not known."""

    text: int  # fingerprint of the prompt
    answer: str = ""
    finish_reason: str = ""
    language: str = ""

    def category(self, column: str) -> str:
        """Return the value of one of `COLUMNS`."""
        value: str = getattr(self, column)
        return value


def traits(rows: ScoreRows) -> list[Traits]:
    """Return the traits of each event; what a sender left out is empty."""
    nothing = [""] * len(rows)
    languages = [tags.get("language", "")[:LONGEST] for tags in rows.tags] if rows.tags else nothing
    columns = (rows.fingerprints or [0] * len(rows), rows.answers or nothing, rows.finish_reasons or nothing, languages)
    return [Traits(*values) for values in zip(*columns, strict=True)]


def kept(event: Traits, columns: Collection[str]) -> Traits:
    """Return the categories in these columns only, and no text."""
    return Traits(0, *(event.category(column) if column in columns else "" for column in COLUMNS))


def counted(events: Sequence[Traits]) -> dict[str, dict[str, int]]:
    """Return how often each category came, by column; columns that have no categories are left out.

    >>> counted([Traits(0, "refund", "stop"), Traits(0, "card", "stop")])
    {'answer': {'refund': 1, 'card': 1}, 'finish_reason': {'stop': 2}}
    """
    found = {}
    for column in COLUMNS:
        counts = Counter(value for event in events if (value := event.category(column)))
        if len(counts) <= MOST and counts.total() >= COVERED * max(1, len(events)):
            found[column] = dict(counts)
    return found
