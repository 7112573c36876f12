"""Routes and attestations, read from the log all the time; those known last serve where a start finds no Kafka."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from monitor.canonical import UNREADABLE
from serving.routes.attestation_age import Arrivals, Staleness
from serving.routes.attestations import STALE_AT_LEAST_S, by_arrival, present
from serving.routes.routing import RouteTable
from serving.routes.trust import Trust, everyone
from streams.clock import now_ms
from streams.events import ReplicaAttested, RouteWritten
from streams.files import private_folder, put
from streams.log.availability import Presence
from streams.log.following import Following
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.routes import supersedes
from streams.topics import ATTESTATIONS, ROUTES

log = structlog.get_logger()

POLL_MS = 1_000  # the broker answers at once when there is something: a longer wait only costs less
SAVE_EVERY_S = 1.0  # attestations alone are not worth a write each


class Snapshot(msgspec.Struct, frozen=True):
    """The routes and attestations known last, on disk."""

    routes: list[RouteWritten] = []
    attestations: list[ReplicaAttested] = []


class Follower:
    """The routes and attestations in the log, as a table that is immutable and cheap to ask for, from any thread.

    Until the log's end was reached once it is the snapshot's; from then on the log's. After trouble the log is read
    again from the start, and the old table serves until its end is reached."""

    def __init__(
        self,
        kafka: KafkaSettings,
        snapshot: Path,
        client: str = "gateway",
        stale_after_s: float = STALE_AT_LEAST_S,
        trust: Trust = everyone,
    ) -> None:
        """`client`: whose metric says that Kafka answers. `stale_after_s`: when a silent replica is stale. `trust`:
        which attestations count."""
        self._path, self._stop, self._trust = snapshot, threading.Event(), trust
        self._of_routes = Following(
            kafka,
            ROUTES,
            RouteWritten,
            self._take_route,
            self._stop,
            begin=self._begin_routes,
            caught_up=self._show_routes,
            poll_ms=POLL_MS,
        )
        self._of_attestations = Following(
            kafka,
            ATTESTATIONS,
            ReplicaAttested,
            self._take_attestation,
            self._stop,
            begin=self._begin_attestations,
            caught_up=lambda: self._show_attestations(live=False),
            idle=self._save_if_due,
            poll_ms=POLL_MS,
        )
        self.presence = Presence(kafka, client, lambda: self._of_routes.well and self._of_attestations.well)
        self._arrivals = Arrivals()
        self.stale = Staleness(self._arrivals, self.answering_since_s, stale_after_s)
        self._lock = threading.Lock()
        known = _load(snapshot)
        self._routes = {route.alias: route for route in known.routes}
        attestations = [each for each in known.attestations if trust(each, None)]
        self._attestations = {one.replica: one for one in attestations}
        self._table = _table(known.routes, attestations)
        self._arrivals.note(attestations, live=False)
        self._fresh_routes: dict[str, RouteWritten] = {}
        self._fresh_attestations: dict[str, ReplicaAttested] = {}
        self._dirty, self._saved_at = False, 0.0
        self._listeners: list[Callable[[], None]] = []
        self._attested: list[Callable[[ReplicaAttested], None]] = []
        self._noting: list[Callable[[ReplicaAttested, int], None]] = []

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change of the routes, from a thread of the follower's; it must be quick."""
        self._listeners.append(changed)

    def listen_to_attestations(self, came: Callable[[ReplicaAttested], None]) -> None:
        """Call `came` with each new attestation that counts, likewise; not with those of before the start."""
        self._attested.append(came)

    def note_attestations(self, note: Callable[[ReplicaAttested, int], None]) -> None:
        """Call `note` with each attestation that counts and its time in the log, in the log's order, before them with
        those known last (time 0). To be called before `start`."""
        for known in self._attestations.values():
            note(known, 0)
        self._noting.append(note)

    def wait_for_attestations(self, timeout_s: float) -> bool:
        """Return whether the end of the attestations' log is reached within the time."""
        return self._of_attestations.wait(timeout_s)

    def start(self) -> None:
        """Begin to follow."""
        self.presence.start()
        self._of_routes.start()
        self._of_attestations.start()

    def table(self) -> RouteTable:
        """Return routes and attestations as known now."""
        return self._table

    def wait(self, timeout_s: float) -> bool:
        """Return whether the end of the routes' log is reached within the time."""
        return self._of_routes.wait(timeout_s)

    def close(self) -> None:
        """Stop following, and keep on disk what is known."""
        self._stop.set()
        self.presence.close()
        self._of_routes.join()
        self._of_attestations.join()
        self._save()

    def answering_since_s(self) -> float | None:
        """Return since when Kafka answers, by the clock that only goes forward; None while it does not."""
        return self.presence.since_s if self.presence.connected else None

    def _begin_routes(self) -> None:
        self._fresh_routes = {}

    def _take_route(self, record: Record[RouteWritten]) -> None:
        route = record.event
        if supersedes(route, self._fresh_routes.get(route.alias)):
            self._fresh_routes[route.alias] = route
            if self._of_routes.live:
                self._show_routes()

    def _show_routes(self) -> None:
        if not self._fresh_routes:  # an empty log knows less than the snapshot
            return
        with self._lock:
            self._routes = dict(self._fresh_routes)
            self._renew_table()
        for changed in self._listeners:
            changed()
        self._save()

    def _begin_attestations(self) -> None:
        self._fresh_attestations = {}

    def _take_attestation(self, record: Record[ReplicaAttested]) -> None:
        attestation, replica = record.event, record.event.replica
        if not self._trust(attestation, self._fresh_attestations.get(replica)):
            return
        known = [each.get(replica) for each in (self._fresh_attestations, self._attestations)]
        logged_ms = None if self._of_attestations.live else record.timestamp_ms
        self._fresh_attestations[replica] = by_arrival(attestation, known, now_ms(), logged_ms)
        for note in self._noting:
            note(attestation, record.timestamp_ms)
        if self._of_attestations.live:
            self._show_attestations(live=True)
            for came in self._attested:
                came(attestation)

    def _show_attestations(self, *, live: bool) -> None:
        if not self._fresh_attestations:
            return
        self._arrivals.note(self._fresh_attestations.values(), live=live)
        with self._lock:
            self._attestations = dict(self._fresh_attestations)
            self._renew_table()

    def _renew_table(self) -> None:
        self._table = _table(self._routes.values(), self._attestations.values())
        self._dirty = True

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
                private_folder(self._path.parent)
                put(self._path, msgspec.json.encode(snapshot))
            except OSError as error:
                log.error("route snapshot cannot be written", path=str(self._path), error=str(error))


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
    except (OSError, *UNREADABLE) as error:
        log.warning("route snapshot is unreadable; the log has the routes", path=str(path), error=str(error))
        return Snapshot()
