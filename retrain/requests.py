"""The log's records of retrainings, read all the time: requests, results, and the routes that they are about."""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar

from streams.events import Event, RetrainReported, RetrainRequested, RouteWritten
from streams.log.following import Following
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.routes import in_force
from streams.topics import REQUESTS, RESULTS, ROUTES, Topic

E = TypeVar("E", bound=Event)


class RetrainTopics:
    """Three topics, followed. After trouble each is read again from its start, and the old records serve until its end
    is reached."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._stop = threading.Event()
        self._requests = _Gathered(kafka, REQUESTS, RetrainRequested, self._stop)
        self._results = _Gathered(kafka, RESULTS, RetrainReported, self._stop)
        self._routes = _Gathered(kafka, ROUTES, RouteWritten, self._stop)
        gathered = (self._requests, self._results, self._routes)
        self._following: list[Following[Any]] = [each.following for each in gathered]

    @property
    def requests(self) -> list[RetrainRequested]:
        """Return all requests, in the log's order."""
        return list(self._requests.events)

    @property
    def results(self) -> list[RetrainReported]:
        """Return all results, in the log's order."""
        return list(self._results.events)

    @property
    def routes(self) -> dict[str, RouteWritten]:
        """Return the route in force of each alias."""
        return in_force(list(self._routes.events))

    @property
    def all_routes(self) -> list[RouteWritten]:
        """Return all routes that were ever written, in the log's order."""
        return list(self._routes.events)

    def start(self) -> None:
        """Begin to follow."""
        for each in self._following:
            each.start()

    def ready(self) -> bool:
        """Return whether everything is read to its end."""
        return all(each.live for each in self._following)

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        for each in self._following:
            each.join()


class _Gathered(Generic[E]):
    """A topic's events; those of the reading before, until the present one has reached the topic's end."""

    def __init__(self, kafka: KafkaSettings, topic: Topic, kind: type[E], stop: threading.Event) -> None:
        self.events: list[E] = []
        self._fresh: list[E] = []
        self.following = Following(kafka, topic, kind, self._take, stop, begin=self._begin, caught_up=self._show)

    def _begin(self) -> None:
        self._fresh = []

    def _take(self, record: Record[E]) -> None:
        self._fresh.append(record.event)

    def _show(self) -> None:
        self.events = self._fresh  # grows from here on
