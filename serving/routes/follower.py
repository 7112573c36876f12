"""Desired state and what replicas attest, read from the log all the time; the last known one starts without Kafka."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from serving.routes.attestation_age import Arrivals, Staleness
from serving.routes.attestations import STALE_AT_LEAST_S, present
from serving.routes.routing import RouteTable
from streams.events import Event, ReplicaAttested, RouteWritten
from streams.log.availability import Presence
from streams.log.read import KafkaSettings, Record, follow
from streams.private_files import private_folder, write_private
from streams.topics import ATTESTATIONS, ROUTES, Topic

log = structlog.get_logger()

E = TypeVar("E", bound=Event)
BACK_OFF_S = (0.2, 5.0)
POLL_MS = 1_000  # the broker answers at once when there is something: a longer wait only costs less
SAVE_EVERY_S = 1.0  # attestations alone are not worth a write each


class Snapshot(msgspec.Struct, frozen=True):
    """What is kept on disk."""

    routes: list[RouteWritten] = []
    attestations: list[ReplicaAttested] = []


class Follower:
    """`table()` is immutable and cheap to ask for, from any thread.

    Until the log's end was reached once it is the snapshot's; from then on the log's. After trouble the log is read
    again from the start, and the old table serves until its end is reached."""

    def __init__(
        self, kafka: KafkaSettings, snapshot: Path, client: str = "gateway", stale_after_s: float = STALE_AT_LEAST_S
    ) -> None:
        """`client`: whose metric says that Kafka answers. `stale_after_s`: a replica that attests no more is."""
        self._kafka, self._path = kafka, snapshot
        self._trouble = set[str]()  # what cannot be followed just now
        self.presence = Presence(kafka, client, lambda: not self._trouble)
        self._arrivals = Arrivals()
        self.stale = Staleness(self._arrivals, self._answering_since, stale_after_s)
        self._lock = threading.Lock()
        known = _load(snapshot)
        self._routes = {route.alias: route for route in known.routes}
        self._attestations = {one.replica: one for one in known.attestations}
        self._table = _table(known.routes, known.attestations)
        self._arrivals.note(known.attestations, live=False)
        self._stop, self._caught_up = threading.Event(), threading.Event()
        self._dirty, self._saved_at = False, 0.0
        self._listeners: list[Callable[[], None]] = []
        self._threads = [
            threading.Thread(target=self._forever, args=(self._follow_routes, "routes"), daemon=True),
            threading.Thread(target=self._forever, args=(self._follow_attestations, "attestations"), daemon=True),
        ]

    def listen(self, changed: Callable[[], None]) -> None:
        """`changed` is called after each change of the routes, from a thread of the follower's; it must be quick."""
        self._listeners.append(changed)

    def start(self) -> None:
        self.presence.start()
        for thread in self._threads:
            thread.start()

    def table(self) -> RouteTable:
        """Routes and attestations as known now."""
        return self._table

    def wait(self, timeout_s: float) -> bool:
        """Whether the end of the routes' log is reached within the time."""
        return self._caught_up.wait(timeout_s)

    def close(self) -> None:
        self._stop.set()
        self.presence.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5)
        self._save()

    def _answering_since(self) -> float | None:
        return self.presence.since_s if self.presence.connected else None

    def _follow_routes(self, healthy: Callable[[], None]) -> None:
        fresh: dict[str, RouteWritten] = {}
        live = False

        def caught_up() -> None:
            nonlocal live
            healthy()
            if not live:
                live = True
                if fresh:  # an empty log has no better word than the snapshot
                    self._replace(routes=dict(fresh))
                self._caught_up.set()

        for record in self._records(ROUTES, RouteWritten, caught_up):
            current = fresh.get(record.event.alias)
            if current is None or record.event.generation > current.generation:  # the first of a generation wins
                fresh[record.event.alias] = record.event
                if live:
                    self._replace(routes=dict(fresh))

    def _follow_attestations(self, healthy: Callable[[], None]) -> None:
        fresh: dict[str, ReplicaAttested] = {}
        live = False

        def caught_up() -> None:
            nonlocal live
            healthy()
            if not live and fresh:
                live = True
                self._arrivals.note(fresh.values(), live=False)
                self._replace(attestations=dict(fresh))
            self._save_if_due()

        for record in self._records(ATTESTATIONS, ReplicaAttested, caught_up):
            fresh[record.event.replica] = record.event
            if live:
                self._arrivals.note(fresh.values(), live=True)
                self._replace(attestations=dict(fresh))

    def _records(self, topic: Topic, kind: type[E], idle: Callable[[], None]) -> Iterator[Record[E]]:
        return follow(self._kafka, topic, kind, stop=self._stop.is_set, idle=idle, poll_ms=POLL_MS)

    def _replace(
        self, routes: dict[str, RouteWritten] | None = None, attestations: dict[str, ReplicaAttested] | None = None
    ) -> None:
        with self._lock:
            self._routes = self._routes if routes is None else routes
            self._attestations = self._attestations if attestations is None else attestations
            self._table = _table(self._routes.values(), self._attestations.values())
            self._dirty = True
        if routes is not None:
            for changed in self._listeners:
                changed()
            self._save()

    def _save_if_due(self) -> None:
        if self._dirty and time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self._save()

    def _save(self) -> None:
        with self._lock:
            if not self._dirty:
                return
            self._dirty, self._saved_at = False, time.monotonic()
            snapshot = Snapshot(list(self._routes.values()), list(self._attestations.values()))
            try:
                _write(self._path, msgspec.json.encode(snapshot))
            except OSError as error:
                log.error("route snapshot cannot be written", path=str(self._path), error=str(error))

    def _forever(self, task: Callable[[Callable[[], None]], None], name: str) -> None:
        """Runs the task again and again, with a growing pause that a working connection resets."""
        wait_s = BACK_OFF_S[0]

        def healthy() -> None:
            nonlocal wait_s
            wait_s = BACK_OFF_S[0]
            self._trouble.discard(name)

        while not self._stop.is_set():
            try:
                task(healthy)
            except Exception as error:  # the loop's top: the broker may do anything
                self._trouble.add(name)
                log.warning("cannot follow the log; the last known state serves", what=name, error=repr(error))
            self._stop.wait(wait_s)
            wait_s = min(2 * wait_s, BACK_OFF_S[1])


def _table(routes: Iterable[RouteWritten], attestations: Iterable[ReplicaAttested]) -> RouteTable:
    table = RouteTable()
    for route in routes:
        table = table.with_route(route)
    for attestation in present(attestations):
        table = table.with_attestation(attestation)
    return table


def _load(path: Path) -> Snapshot:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except FileNotFoundError:
        return Snapshot()
    except (OSError, msgspec.DecodeError) as error:
        log.warning("route snapshot is unreadable; the log will tell", path=str(path), error=str(error))
        return Snapshot()


def _write(path: Path, data: bytes) -> None:
    private_folder(path.parent)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    write_private(part, data)
    part.replace(path)
