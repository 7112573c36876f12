"""The API keys that were revoked, read from the log all the time; those known last count where a start finds no Kafka.
A key that was revoked once stays so: nothing takes that back."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec
import structlog

from monitor.canonical import UNREADABLE
from serving.gateway.access.keys import Key
from streams.clock import now_ms
from streams.events import KeyRevoked
from streams.files import private_folder, put
from streams.log.append import Appender
from streams.log.following import Following
from streams.log.read import Record, read
from streams.log.settings import KafkaSettings
from streams.topics import REVOCATIONS

log = structlog.get_logger()

POLL_MS = 1_000  # the broker answers at once when there is something


class Revocations:
    """The digests of the keys that were revoked; to be asked from any thread. `snapshot`: those known last, on disk."""

    def __init__(self, kafka: KafkaSettings, snapshot: Path) -> None:
        self._path, self._stop = snapshot, threading.Event()
        self._known = {each.sha256: each for each in _load(snapshot)}
        self._kept = len(self._known)
        self._following = Following(
            kafka,
            REVOCATIONS,
            KeyRevoked,
            self._take,
            self._stop,
            caught_up=self._keep,
            idle=self._keep,
            poll_ms=POLL_MS,
        )

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._known

    def start(self) -> None:
        """Begin to follow."""
        self._following.start()

    def wait(self, timeout_s: float) -> bool:
        """Return whether the log's end is reached within the time."""
        return self._following.wait(timeout_s)

    def close(self) -> None:
        """Stop following, and keep on disk what is known."""
        self._stop.set()
        self._following.join()
        self._keep()

    def _take(self, record: Record[KeyRevoked]) -> None:
        revoked = record.event
        if revoked.sha256 not in self._known:
            self._known[revoked.sha256] = revoked
            log.info("key revoked", key=revoked.key, by=revoked.by)

    def _keep(self) -> None:
        if len(self._known) == self._kept:
            return
        try:
            private_folder(self._path.parent)
            put(self._path, msgspec.json.encode(list(self._known.values())), forced=True)
            self._kept = len(self._known)
        except OSError as error:
            log.error("revoked keys cannot be kept", path=str(self._path), error=str(error))


def revoked(kafka: KafkaSettings) -> frozenset[str]:
    """Return the digests of the keys that are revoked now."""
    return frozenset(record.event.sha256 for record in read(kafka, REVOCATIONS, KeyRevoked))


def revoke(kafka: KafkaSettings, keys: Iterable[Key], by: str) -> None:
    """Write to the log that keys count no longer. Raise KafkaError where it does not take that."""
    with closing(Appender(kafka, f"homeostat/{by}")) as appender:
        for key in keys:
            revoked = KeyRevoked(sha256=key.sha256, key=key.id, time_ms=now_ms(), by=by)
            appender.append(REVOCATIONS, revoked, id=f"{key.sha256}/revoked", time_ms=revoked.time_ms)


def _load(path: Path) -> list[KeyRevoked]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[KeyRevoked])
    except FileNotFoundError:
        return []
    except (OSError, *UNREADABLE) as error:
        log.warning("revoked keys are unreadable; the log has them", path=str(path), error=str(error))
        return []
