"""From the journal to Kafka, in a process of its own: nothing is lost, order stays within a partition.

What was sent but not yet noted in the cursor when the shipper is killed is sent again with the same key and id, so that
the worker drops it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import structlog

from streams import cursor, segments, status
from streams.backlog import Backlog, Place, Slice, waiting_bytes
from streams.cursor import Cursor, CursorFile
from streams.delivery import HOPELESS, MOST_BYTES, TOO_LARGE, Failure, Make, deliver, producer
from streams.frames import Record
from streams.log import KafkaSettings
from streams.status import Status

log = structlog.get_logger()

POLL_S = (0.005, 0.05)  # shortest and longest wait for more
RETRY_S = (0.5, 10.0)  # first and longest wait before the broker is tried again
TELL_S = 1.0  # between two status files
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipperSettings:
    """How events are gathered before they are sent."""

    batch_records: int = 2_000
    batch_bytes: int = MOST_BYTES
    linger_s: float = 0.05  # for more to come, unless a batch is full
    compression: Literal["gzip", "none"] = "gzip"  # a quarter of the bytes; the worker reads no other


DEFAULTS = ShipperSettings()


class Shipper:
    """One for each journal; a second one waits until the first is gone. `make` is the tests' way in."""

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        source: str,
        settings: ShipperSettings = DEFAULTS,
        make: Make | None = None,
    ) -> None:
        self._folder, self._settings = folder, settings
        self._make = make or (lambda: producer(kafka, source, settings.compression == "gzip"))
        self._producer: Any = None
        self._error = ""
        self._told_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Ships until `stop` is set; what the broker does not confirm just then is sent again by the next shipper.
        Whoever wants nothing left waits for `drained` first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if (lock := self._lock(stop)) is None:
            return
        with lock:
            self._begin()
            try:
                self._work(stop)
            finally:
                self._disconnect()
                self._tell()
                self._backlog.close()
                self._file.close()

    def drained(self) -> bool:
        """Whether everything journaled is confirmed (or dropped and counted)."""
        return waiting_bytes(self._folder) == 0

    def _lock(self, stop: threading.Event) -> IO[bytes] | None:
        while not stop.is_set():
            if (held := segments.locked(self._folder, segments.SHIPPER)) is not None:
                return held
            stop.wait(0.2)
        return None

    def _begin(self) -> None:
        self._cursor = done = cursor.read(self._folder)
        self._published = Counter(done.published)
        self._dropped = Counter({(t, r): n for t, reasons in done.dropped.items() for r, n in reasons.items()})
        self._damaged_bytes = done.damaged_bytes
        self._file = CursorFile(self._folder)
        self._backlog = Backlog(self._folder, Place(done.segment, done.offset))
        self._backlog.forget(done.segment)

    def _work(self, stop: threading.Event) -> None:
        wait_s = POLL_S[0]
        while not stop.is_set():
            try:
                shipped = self._turn(stop)
            except Exception:  # the loop's top: the disk may have failed
                log.exception("shipper turn failed", folder=str(self._folder))
                self._backlog.rewind(Place(self._cursor.segment, self._cursor.offset))
                shipped = 0
            if shipped < self._settings.batch_records // 2:
                stop.wait(self._settings.linger_s if shipped else wait_s)
            wait_s = POLL_S[0] if shipped else min(2 * wait_s, POLL_S[1])

    def _turn(self, stop: threading.Event) -> int:
        """How many records were shipped."""
        taken = self._backlog.take(self._settings.batch_records, self._settings.batch_bytes)
        if taken is not None:
            self._ship(taken, stop)
        elif self._backlog.at > Place(self._cursor.segment, self._cursor.offset):
            self._note(self._backlog.at)
        self._tell(TELL_S)
        return len(taken.records) if taken is not None else 0

    def _ship(self, taken: Slice, stop: threading.Event) -> None:
        """Until each record is confirmed or hopeless; notes how far it came."""
        waiting = deque([list(range(len(taken.records)))])
        retry_s = RETRY_S[0]
        while waiting and not stop.is_set():
            failed = self._tried(taken.records, waiting.popleft(), stop)
            if refused := next((error for error in failed.values() if isinstance(error, HOPELESS)), None):
                # only alone is it sure to be its own fault
                if len(failed) > 1:
                    waiting.extendleft(reversed(_halves(list(failed))))
                else:
                    self._drop(taken.records[next(iter(failed))], refused)
            elif failed:
                waiting.appendleft(list(failed))
                self._away(next(iter(failed.values())), retry_s)
                stop.wait(retry_s)
                retry_s = min(2 * retry_s, RETRY_S[1])
        left = min((i for group in waiting for i in group), default=len(taken.records))
        if left:
            self._note(taken.ends[left - 1])

    def _tried(self, records: Sequence[Record], wanted: Sequence[int], stop: threading.Event) -> dict[int, Failure]:
        """Sends those; what failed, and why."""
        try:
            self._producer = self._producer or self._make()
        except Exception as error:  # also a setting it refuses: the events are safe in the journal meanwhile
            return dict.fromkeys(wanted, error)
        outcomes = deliver(self._producer, [records[i] for i in wanted], lambda: self._beat(stop))
        failed = {i: outcome for i, outcome in zip(wanted, outcomes, strict=True) if outcome is not None}
        self._published.update(records[i].topic for i in wanted if i not in failed)
        if failed:
            self._disconnect()  # a producer that was refused something refuses everything
        else:
            self._error = ""
        return failed

    def _beat(self, stop: threading.Event) -> bool:
        """While the broker keeps us waiting; whether to wait on."""
        self._error = self._error or "the broker does not confirm"
        self._tell(TELL_S)
        return not stop.wait(0)

    def _drop(self, record: Record, error: Failure) -> None:
        reason = "too_large" if isinstance(error, TOO_LARGE) else "refused"
        self._dropped[record.topic, reason] += 1
        log.error("event lost", topic=record.topic, reason=reason, error=repr(error), bytes=len(record.value))

    def _away(self, error: Failure, retry_s: float) -> None:
        self._error = repr(error)
        self._tell(TELL_S)
        log.warning("broker is away; events wait in the journal", error=self._error, retry_s=retry_s)

    def _disconnect(self) -> None:
        made, self._producer = self._producer, None
        if made is not None:
            made.close(timeout=CLOSE_S)

    def _note(self, at: Place) -> None:
        """Everything before that place is done with."""
        noted = Cursor(
            segment=at.segment,
            offset=at.offset,
            published=dict(self._published),
            dropped=_nested(self._dropped),
            damaged_bytes=self._damaged_bytes + self._backlog.damaged_bytes,
        )
        self._file.write(noted)
        before, self._cursor = self._cursor.segment, noted
        if at.segment > before:
            self._backlog.forget(at.segment)

    def _tell(self, every_s: float = 0.0) -> None:
        if (now := time.monotonic()) < self._told_at + every_s:
            return
        self._told_at = now
        status.write(
            self._folder,
            Status(
                time_ms=round(time.time() * 1_000),
                connected=self._producer is not None and not self._error,
                lag_bytes=waiting_bytes(self._folder),
                published=self._cursor.published,
                dropped=self._cursor.dropped,
                damaged_bytes=self._cursor.damaged_bytes,
                error=self._error,
            ),
        )


def _halves(group: list[int]) -> list[list[int]]:
    middle = len(group) // 2
    return [group[:middle], group[middle:]]


def _nested(dropped: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (topic, reason), count in dropped.items():
        found.setdefault(topic, {})[reason] = count
    return found
