"""The log as operations and rollouts see it: records in their order, and others who write in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

import pytest

from streams.events import DecisionRecorded, Event, RouteWritten
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.topics import LEDGER, ROUTES, Topic

E = TypeVar("E", bound=Event)


class AdminLog:
    """`before_route`: called before each route is appended; a writer there is faster."""

    def __init__(self) -> None:
        self.records: dict[str, list[Event]] = {}
        self.before_route: Callable[[RouteWritten], object] = lambda route: None
        self.problem: Exception | None = None

    @classmethod
    def under(cls, monkeypatch: pytest.MonkeyPatch) -> AdminLog:
        """In place of Kafka, for `serving.rollout.operations`."""
        log = cls()
        monkeypatch.setattr("serving.rollout.operations.read", log.read)
        monkeypatch.setattr("serving.rollout.operations.Appender", log.appender)
        return log

    def read(self, settings: KafkaSettings, topic: Topic, kind: type[E], *_: object) -> list[Record[E]]:
        if self.problem is not None:
            raise self.problem
        found = self.records.get(topic.name, [])
        return [Record(0, i, 0, each) for i, each in enumerate(found) if isinstance(each, kind)]

    def appender(self, settings: KafkaSettings, source: str) -> Self:
        return self

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        if isinstance(event, RouteWritten):
            self.before_route(event)
        return self.put(topic, event)

    def append_all(self, topic: Topic, events: Iterable[tuple[str, Event]], *, time_ms: int) -> None:
        for id, event in events:
            self.append(topic, event, id=id, time_ms=time_ms)

    def put(self, topic: Topic, event: Event) -> int:
        self.records.setdefault(topic.name, []).append(event)
        return len(self.records[topic.name]) - 1

    def close(self) -> None:
        """Nothing is open."""

    @property
    def routes(self) -> list[RouteWritten]:
        return [each for each in self.records.get(ROUTES.name, []) if isinstance(each, RouteWritten)]

    @property
    def decisions(self) -> list[DecisionRecorded]:
        return [each for each in self.records.get(LEDGER.name, []) if isinstance(each, DecisionRecorded)]


def route(alias: str = "support", **changes: Any) -> RouteWritten:
    """A first generation with a champion and a previous one."""
    versions = {f"{alias}-{letter * 12}": letter * 64 for letter in "ab"}
    champion, previous = versions
    given: dict[str, Any] = {
        "generation": 1,
        "champion": champion,
        "previous": previous,
        "adapters": versions,
        "time_ms": 0,
        "by": "test",
        "cause": "first",
    }
    return RouteWritten(alias=alias, **{**given, **changes})
