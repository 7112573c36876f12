"""What the log says about retrainings, read all the time: requests, results, and the routes they are about."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from streams.events import Event, RetrainReported, RetrainRequested, RouteWritten
from streams.log.read import KafkaSettings, follow
from streams.topics import REQUESTS, RESULTS, ROUTES, Topic

log = structlog.get_logger()

E = TypeVar("E", bound=Event)
BACK_OFF_S = 1.0


class Inbox:
    """Lists only grow while a connection lasts; after trouble they are read again from the start, and the old ones
    serve until the end is reached."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._stop = threading.Event()
        self._read = {name: threading.Event() for name in ("requests", "results", "routes")}
        self.requests: list[RetrainRequested] = []
        self.results: list[RetrainReported] = []
        self.routes: dict[str, RouteWritten] = {}
        self._threads = [
            threading.Thread(target=self._forever, args=(name, task), name=f"inbox-{name}", daemon=True)
            for name, task in (("requests", self._requests), ("results", self._results), ("routes", self._routes))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def ready(self) -> bool:
        """Whether everything was read to its end once."""
        return all(event.is_set() for event in self._read.values())

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def _requests(self) -> None:
        self._collect("requests", REQUESTS, RetrainRequested, lambda found: setattr(self, "requests", found))

    def _results(self) -> None:
        self._collect("results", RESULTS, RetrainReported, lambda found: setattr(self, "results", found))

    def _routes(self) -> None:
        self._collect("routes", ROUTES, RouteWritten, lambda found: setattr(self, "routes", in_force(found)))

    def _collect(self, name: str, topic: Topic, kind: type[E], show: Callable[[list[E]], None]) -> None:
        found: list[E] = []

        def caught_up() -> None:
            show(list(found))
            self._read[name].set()

        for record in follow(self._kafka, topic, kind, stop=self._stop.is_set, idle=caught_up):
            found.append(record.event)
            if self._read[name].is_set():
                show(list(found))

    def _forever(self, name: str, task: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                task()
            except Exception as error:  # the loop's top: the broker may do anything
                log.warning("cannot follow the log; trying again", what=name, error=repr(error))
                self._read[name].clear()
                self._stop.wait(BACK_OFF_S)


def in_force(routes: list[RouteWritten]) -> dict[str, RouteWritten]:
    """The first record of each alias's highest generation."""
    found: dict[str, RouteWritten] = {}
    for route in routes:
        if route.alias not in found or route.generation > found[route.alias].generation:
            found[route.alias] = route
    return found
