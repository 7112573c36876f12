"""Rows for the tests of this room."""

from __future__ import annotations

import random

from retrain.data.example import FRESH, Example
from streams.messages import Message

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def row(number: int, label: str = "refund", **changes: object) -> Example:
    """A row with a text of its own: words made up from its number, unlike any other's."""
    rng = random.Random(number)
    text = " ".join("".join(rng.choices(LETTERS, k=7)) for _ in range(5))
    given = {
        "id": f"id-{number}",
        "messages": [Message("user", text)],
        "completion": label,
        "source": FRESH,
        "client": f"client-{number % 9}",
        "time_ms": number,
        "selection": "random",
        **changes,
    }
    return Example(**given)  # type: ignore[arg-type]


def rows(count: int, labels: str = "ab", first: int = 0, **changes: object) -> list[Example]:
    return [row(first + i, labels[i % len(labels)], **changes) for i in range(count)]
