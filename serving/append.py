"""The way into the log, as a function that callers hand in."""

from __future__ import annotations

from typing import Protocol

from streams.events import Event
from streams.topics import Topic


class Append(Protocol):
    """The `append` of `streams.log.append.Writer`, which writes to the log."""

    def __call__(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> object:
        """Append a record and return once the log has confirmed it. Raise KafkaError where it does not."""
