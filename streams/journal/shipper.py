"""From the journal to Kafka, in a process of its own: nothing is lost, order stays within a partition.

Records that were sent but are not yet noted in the cursor when the shipper is killed are sent again with the same key
and id, so that the worker drops them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import structlog

from monitor.validation import require
from streams.clock import now_ms
from streams.files import private_folder
from streams.journal import cursor, segments, status
from streams.journal.cursor import Cursor, CursorFile, moved
from streams.journal.delivery import Delivery
from streams.journal.producer import MOST_BYTES, Make, producer
from streams.journal.reader import Backlog, waiting_bytes
from streams.journal.status import ShipperStatus
from streams.log.rejects import Rejects
from streams.log.settings import KafkaSettings

log = structlog.get_logger()

POLL_S = (0.005, 0.05)  # shortest and longest wait for more
REPORT_S = 1.0  # between two status files
LOCK_S = 0.2  # between two looks whether the other shipper is gone
TROUBLE_S = 1.0  # after trouble
PLENTY_BYTES = MOST_BYTES // 2  # that wait already: there is no need to wait for more


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipperSettings:
    """The gathering of events before they are sent."""

    batch_records: int = 2_000
    linger_s: float = 1.0  # for more to come, after each batch that left little behind
    compression: Literal["gzip", "none"] = "gzip"  # a quarter of the bytes; the worker can read no other

    def __post_init__(self) -> None:
        require(self, "batch_records", self.batch_records >= 1, "at least 1")
        require(self, "linger_s", self.linger_s >= 0, "0 or more seconds")


DEFAULTS = ShipperSettings()


class Shipper:
    """The shipper of one journal; a second one waits until the first is gone. `make` is the tests' way in."""

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        source: str,
        settings: ShipperSettings = DEFAULTS,
        make: Make | None = None,
    ) -> None:
        self._folder, self._settings = folder, settings
        make = make or (lambda: producer(kafka, source, settings.compression == "gzip"))
        self._delivery = Delivery(make, lambda: self._report(REPORT_S), Rejects(folder / "aside"))
        self._cursor = Cursor()
        self._reported_at = float("-inf")
        self._hurried = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set; records that the broker has not confirmed by then are sent again by the next
        shipper. To leave none, wait for `drained` first. Raise OSError where the folder cannot be written."""
        private_folder(self._folder)
        if (lock := self._lock(stop)) is None:
            return
        with lock:
            self._cursor = cursor.read(self._folder)
            self._file = CursorFile(self._folder)
            try:
                self._file.write(self._cursor)  # takes its room on the disk before anything is sent
                self._work(stop)
            finally:
                self._delivery.close()
                self._report()
                self._file.close()

    def hurry(self) -> None:
        """Wait no longer for more to come. From any thread."""
        self._hurried.set()

    def drained(self) -> bool:
        """Return whether everything journaled is confirmed (or dropped and counted)."""
        return waiting_bytes(self._folder) == 0

    def _lock(self, stop: threading.Event) -> IO[bytes] | None:
        while not stop.is_set():
            if (held := segments.locked(self._folder, segments.SHIPPER)) is not None:
                return held
            stop.wait(LOCK_S)
        return None

    def _work(self, stop: threading.Event) -> None:
        """Ship, and begin again at the cursor after any trouble."""
        while not stop.is_set():
            backlog = Backlog(self._folder, self._cursor.position)
            try:
                backlog.forget(self._cursor.segment)
                self._follow(backlog, stop)
            except Exception:  # the loop's top: a disk that fails, or a defect
                log.exception("shipping failed, will be tried again", folder=str(self._folder), wait_s=TROUBLE_S)
                self._delivery.close()
                stop.wait(TROUBLE_S)
            finally:
                backlog.close()

    def _follow(self, backlog: Backlog, stop: threading.Event) -> None:
        wait_s = POLL_S[0]
        while not stop.is_set():
            shipped = self._ship(backlog, stop)
            self._report(REPORT_S)
            if not shipped:
                stop.wait(wait_s)
            elif waiting_bytes(self._folder) < PLENTY_BYTES:
                self._hurried.wait(self._settings.linger_s)
            wait_s = POLL_S[0] if shipped else min(2 * wait_s, POLL_S[1])

    def _ship(self, backlog: Backlog, stop: threading.Event) -> int:
        """Ship the next records and return how many were taken."""
        taken = backlog.take(self._settings.batch_records, MOST_BYTES)
        damaged, backlog.damaged_bytes = backlog.damaged_bytes, 0
        if taken is None:
            if backlog.at != self._cursor.position:
                self._note(moved(self._cursor, backlog.at, damaged_bytes=damaged), backlog)
            return 0
        delivered = self._delivery.deliver(taken.records, stop)
        if delivered.count:
            to = taken.ends[delivered.count - 1]
            self._note(moved(self._cursor, to, delivered.published, delivered.dropped, damaged), backlog)
        return len(taken.records)

    def _note(self, done: Cursor, backlog: Backlog) -> None:
        """Note that records are done, whether the cursor can be written or not: if not, the next shipper sends them
        again."""
        before, self._cursor = self._cursor, done
        try:
            self._file.write(done)
        except OSError as error:
            log.error("cursor cannot be written", folder=str(self._folder), error=str(error))
        if done.segment > before.segment:
            backlog.forget(done.segment)

    def _report(self, every_s: float = 0.0) -> None:
        """Write the status file, where the last one is older."""
        if (now := time.monotonic()) < self._reported_at + every_s:
            return
        self._reported_at = now
        try:
            status.write(self._folder, self._status())
        except OSError as error:
            log.error("status cannot be written", folder=str(self._folder), error=str(error))

    def _status(self) -> ShipperStatus:
        done = self._cursor
        return ShipperStatus(
            time_ms=now_ms(),
            connected=self._delivery.connected,
            lag_bytes=waiting_bytes(self._folder),
            published=done.published,
            dropped=done.dropped,
            damaged_bytes=done.damaged_bytes,
            error=self._delivery.error,
        )
