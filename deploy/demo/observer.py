"""The loop's own topics while a demo runs, kept for its report."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

from streams import events as e
from streams import topics as t
from streams.log.following import Following
from streams.log.read import Record
from streams.log.settings import KafkaSettings

E = TypeVar("E", bound=e.Event)


@dataclass(slots=True)
class LoopEvents:
    """Everything decided so far, in log order."""

    alarms: list[e.AlarmRaised] = field(default_factory=list)
    requests: list[e.RetrainRequested] = field(default_factory=list)
    results: list[e.RetrainReported] = field(default_factory=list)
    routes: list[e.RouteWritten] = field(default_factory=list)
    windows: list[e.WindowClosed] = field(default_factory=list)
    ledger: list[e.DecisionRecorded] = field(default_factory=list)


class Observer:
    """Follows the topics of `LoopEvents`, each on a thread of its own, through any trouble with the broker; `seen` only
    grows. Each record counts once. Records that share an id are one: effects are idempotent, so a repeated one is no
    news."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.seen = seen = LoopEvents()
        self._stop = threading.Event()
        self._next: dict[tuple[str, int], int] = {}  # the offset that comes next, by topic and partition
        self._ids: set[tuple[str, str]] = set()
        self._following: list[Following[Any]] = [
            self._follow(kafka, t.ALARMS, e.AlarmRaised, seen.alarms),
            self._follow(kafka, t.REQUESTS, e.RetrainRequested, seen.requests),
            self._follow(kafka, t.RESULTS, e.RetrainReported, seen.results),
            self._follow(kafka, t.ROUTES, e.RouteWritten, seen.routes),
            self._follow(kafka, t.WINDOWS, e.WindowClosed, seen.windows),
            self._follow(kafka, t.LEDGER, e.DecisionRecorded, seen.ledger),
        ]

    def start(self) -> None:
        """Begin to follow."""
        for each in self._following:
            each.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        for each in self._following:
            each.join()

    def _follow(self, kafka: KafkaSettings, topic: t.Topic, kind: type[E], into: list[E]) -> Following[E]:
        def take(record: Record[E]) -> None:
            if self._news(topic.name, record):
                into.append(record.event)

        return Following(kafka, topic, kind, take, self._stop)

    def _news(self, topic: str, record: Record[Any]) -> bool:
        """After trouble a topic is read from its start once more."""
        place = topic, record.partition
        if record.offset < self._next.get(place, 0):
            return False
        self._next[place] = record.offset + 1
        if (id := getattr(record.event, "id", None)) is None:
            return True
        news = (topic, id) not in self._ids
        self._ids.add((topic, id))
        return news
