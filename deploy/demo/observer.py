"""Watches the loop's own topics while a demo runs, and keeps what the report needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from streams import events as e
from streams import topics as t
from streams.log.read import KafkaSettings, follow


@dataclass(slots=True)
class Seen:
    """Everything decided so far, in log order."""

    alarms: list[e.AlarmRaised] = field(default_factory=list)
    requests: list[e.RetrainRequested] = field(default_factory=list)
    results: list[e.RetrainReported] = field(default_factory=list)
    routes: list[e.RouteWritten] = field(default_factory=list)
    windows: list[e.WindowClosed] = field(default_factory=list)
    ledger: list[e.DecisionRecorded] = field(default_factory=list)

    def of_kind(self, kind: e.AlarmKind) -> list[e.AlarmRaised]:
        return [alarm for alarm in self.alarms if alarm.kind == kind]


SOURCES: tuple[tuple[t.Topic, type[e.Event], str], ...] = (
    (t.ALARMS, e.AlarmRaised, "alarms"),
    (t.REQUESTS, e.RetrainRequested, "requests"),
    (t.RESULTS, e.RetrainReported, "results"),
    (t.ROUTES, e.RouteWritten, "routes"),
    (t.WINDOWS, e.WindowClosed, "windows"),
    (t.LEDGER, e.DecisionRecorded, "ledger"),
)


class Observer:
    """Follows every topic in `SOURCES` on a thread of its own; `seen` only grows. Records that share an id are
    one: effects are idempotent, so a repeated one is not news."""

    def __init__(self, kafka: KafkaSettings, told: Callable[[e.Event], None] = lambda event: None) -> None:
        self.seen = Seen()
        self._kafka = kafka
        self._told = told
        self._stop = threading.Event()
        self._ids: set[tuple[str, str]] = set()
        self._threads = [
            threading.Thread(target=self._run, args=source, name=f"observe-{source[2]}", daemon=True)
            for source in SOURCES
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _run(self, topic: t.Topic, kind: type[e.Event], into: str) -> None:
        kept = getattr(self.seen, into)
        for record in follow(self._kafka, topic, kind, stop=self._stop.is_set):
            id = getattr(record.event, "id", None)
            if id is not None and (topic.name, id) in self._ids:
                continue
            if id is not None:
                self._ids.add((topic.name, id))
            kept.append(record.event)
            self._told(record.event)
