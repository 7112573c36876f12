"""One labelled row, of whichever source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from monitor.metrics import normalise
from streams.events import Message

FRESH, REHEARSAL, FIRST = "fresh", "rehearsal", "first"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """Messages and the answer that they should get."""

    id: str
    messages: list[Message]
    completion: str
    source: str  # FRESH (since the harm began), REHEARSAL (the healthy time), FIRST (a first adapter's rows)
    client: str = ""
    time_ms: int = 0
    predicted: str = ""  # what the champion answered
    tags: dict[str, str] = {}

    @property
    def text(self) -> str:
        """All messages as one text."""
        return "\n".join(message.content for message in self.messages)

    @property
    def key(self) -> str:
        """Equal for rows that ask the same, whatever their answer."""
        return normalise(self.text)

    @property
    def label(self) -> str:
        """The answer as it is compared."""
        return normalise(self.completion)

    def prompt(self) -> list[dict[str, str]]:
        """Return the messages as chat templates take them."""
        return [{"role": "user" if m.role == "text" else m.role, "content": m.content} for m in self.messages]

    def lesson(self) -> tuple[list[dict[str, str]], str]:
        """Return messages and answer as a training takes them."""
        return self.prompt(), self.completion


def in_chance_order(rows: Iterable[Example], salt: str) -> list[Example]:
    """Return the rows in an order that depends on their ids and the salt only: one row more or less moves no other."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{salt}\0{row.id}".encode()).digest())
