"""The aliases that a human has paused, as the routes have it."""

from __future__ import annotations

import threading

from streams.events import RouteWritten
from streams.log.following import Following
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.routes import supersedes
from streams.topics import ROUTES


class PausedAliases:
    """Follows the routes on a thread of its own; without Kafka the pauses stay as they were."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._stop = threading.Event()
        self._routes: dict[str, RouteWritten] = {}
        self._following = Following(kafka, ROUTES, RouteWritten, self.take, self._stop)

    def paused(self, alias: str) -> bool:
        """Return whether automatic retraining is off; False for an alias without a route."""
        route = self._routes.get(alias)
        return route is not None and route.paused

    def take(self, record: Record[RouteWritten]) -> None:
        """Take the next route of the log."""
        route = record.event
        if supersedes(route, self._routes.get(route.alias)):
            self._routes[route.alias] = route

    def start(self) -> None:
        """Begin to follow."""
        self._following.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._following.join()
