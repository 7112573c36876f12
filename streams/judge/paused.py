"""Which aliases a human has paused: what the routes say, followed on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog

from streams.events import RouteWritten
from streams.log.read import KafkaSettings, follow
from streams.topics import ROUTES

log = structlog.get_logger()

RETRY_S = 2.0


class Pauses:
    """Follows `serving.routes`; of each generation the first record counts, as for every reader."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._stop = threading.Event()
        self._routes: dict[str, RouteWritten] = {}
        self._thread = threading.Thread(target=self._run, name="pauses", daemon=True)

    def paused(self, alias: str) -> bool:
        """Whether automatic retraining is off; False for an alias without a route."""
        route = self._routes.get(alias)
        return route is not None and route.paused

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def take(self, routes: Iterable[RouteWritten]) -> None:
        """Takes routes in the order of the log."""
        for route in routes:
            known = self._routes.get(route.alias)
            if known is None or route.generation > known.generation:
                self._routes[route.alias] = route

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                records = follow(self._kafka, ROUTES, RouteWritten, stop=self._stop.is_set)
                self.take(record.event for record in records)
            except Exception as error:  # the broker may be away; pauses stay as they were
                log.warning("routes cannot be followed, trying again", error=repr(error))
                self._stop.wait(RETRY_S)
