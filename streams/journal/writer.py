"""The journal's writer: the gateway appends each event to a file at once, and goes on serving. Another process ships
them (`streams.journal.shipper`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import structlog

from monitor.validation import require
from streams import codec
from streams.events import Event
from streams.files import FILE, force, private_folder
from streams.journal import cursor, frames, metrics, segments
from streams.journal.fsync import BackgroundFsync
from streams.topics import Topic

log = structlog.get_logger()

LOOK_S = 0.1  # between two looks at what the shipper has deleted, while there is no room
REPORT_S = 1.0  # between two log lines
TRIES, TRY_S = 5, 0.02  # for the lock: a shipper may hold it for a moment, to see whether it is free


class Fsync(StrEnum):
    """The time at which bytes are forced to the disk. A killed process loses nothing either way; a power cut may."""

    ALWAYS = "always"  # before `publish` returns: its caller waits for the disk
    INTERVAL = "interval"  # every `fsync_s`, by a thread
    NEVER = "never"  # when the system likes: up to half a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """The journal's bounds: `max_bytes` wait on disk at most, in files of about `segment_bytes`, each deleted as a
    whole."""

    max_bytes: int = 256 * 1_048_576
    segment_bytes: int = 4 * 1_048_576
    fsync: Fsync = Fsync.INTERVAL
    fsync_s: float = 1.0

    def __post_init__(self) -> None:
        fitting = 1 <= self.segment_bytes <= self.max_bytes // 2
        require(self, "segment_bytes", fitting, f"1 to half of max_bytes ({self.max_bytes})")
        require(self, "fsync_s", self.fsync_s > 0, "a positive number of seconds")


class Journal:
    """A folder that one process appends to and one shipper takes from. Raise RuntimeError where another process writes.

    An event for which `publish` returned True survives a `kill -9` of this process: the system has it. `fsync` sets how
    much a power cut or a crash of the system loses: nothing with `always`; with `interval` about the last `fsync_s`;
    with `never` all that the system has not written yet. Not thread-safe: one thread publishes."""

    def __init__(
        self, folder: Path, settings: JournalSettings, source: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._settings, self._source, self._clock = folder, settings, source, clock
        private_folder(folder)
        self._lock = _lock(folder)
        there = segments.sizes(folder)
        self._number = max([cursor.read(folder).segment, *there])
        self._kept_bytes = sum(there.values()) - (_repair(segments.path(folder, max(there))) if there else 0)
        self._fd: int | None = None
        self._written = 0  # bytes in the open segment
        self._fsync = BackgroundFsync(folder, settings.fsync_s) if settings.fsync is Fsync.INTERVAL else None
        self._closed = False
        self._looked_at = self._reported_at = float("-inf")
        self._unreported = 0

    @property
    def size_bytes(self) -> int:
        """Return the bytes that wait on disk, as far as known: those that the shipper has just deleted may still
        count."""
        return self._kept_bytes + self._written

    def publish(self, topic: Topic, event: Event, id: str, time_ms: int) -> bool:
        """Append an event and return whether it is kept; if not, it is dropped and counted. Never raises."""
        try:
            data = self._framed(topic, event, id, time_ms)
        except Exception as error:  # of any kind: the other events must go on
            return self._lose(topic, "unencodable", repr(error))
        if self._closed:
            return self._lose(topic, "closed", "")
        try:
            if not self._room(len(data)):
                return self._lose(topic, "journal_full", f"{self.size_bytes} bytes wait")
            self._write(data)
        except OSError as error:
            return self._lose(topic, "disk", f"{self._folder}: {error}")
        return True

    def close(self) -> None:
        """Close the journal: its events stay for the shipper; those published from now on are dropped."""
        if not self._closed:
            self._closed = True
            self._seal()
            if self._fsync is not None:
                self._fsync.close()
            self._lock.close()

    def _framed(self, topic: Topic, event: Event, id: str, time_ms: int) -> bytes:
        headers = codec.headers(event, id=id, time_ms=time_ms, source=self._source)
        key = str(getattr(event, topic.key)).encode()
        return frames.pack(frames.JournalRecord(topic.name, key, codec.encode(event), headers))

    def _room(self, size: int) -> bool:
        """Go on to the next segment where this one is full. Return whether all of them leave room."""
        if self._written and self._written + size > self._settings.segment_bytes:
            self._seal()
            self._recount()
        if self.size_bytes + size > self._settings.max_bytes and self._clock() >= self._looked_at + LOOK_S:
            self._recount()
        return self.size_bytes + size <= self._settings.max_bytes

    def _recount(self) -> None:
        """Count again the segments that the shipper has not deleted."""
        self._looked_at = self._clock()
        there = segments.sizes(self._folder)
        if self._fd is not None:
            there.pop(self._number, None)
        self._kept_bytes = sum(there.values())

    def _write(self, data: bytes) -> None:
        """Write all of it; or nothing, and raise OSError."""
        fd = self._fd if self._fd is not None else self._open()
        try:
            if (count := os.write(fd, data)) != len(data):
                raise OSError(f"{count} of {len(data)} bytes written; is the disk full?")
            if self._settings.fsync is Fsync.ALWAYS:
                os.fsync(fd)
        except OSError:
            self._undo(fd)
            raise
        self._written += len(data)

    def _undo(self, fd: int) -> None:
        try:
            os.ftruncate(fd, self._written)
        except OSError:
            self._written = os.fstat(fd).st_size
            self._seal()  # the shipper skips a torn end once there is a next segment

    def _open(self) -> int:
        self._number += 1
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        self._fd, self._written = os.open(segments.path(self._folder, self._number), flags, FILE), 0
        if self._fsync is not None:
            self._fsync.follow(self._fd)
        elif self._settings.fsync is Fsync.ALWAYS:
            force(self._folder)
        return self._fd

    def _seal(self) -> None:
        if self._fd is None:
            return
        if self._fsync is not None:
            self._fsync.follow(None)
        else:
            os.close(self._fd)
        self._kept_bytes += self._written
        self._fd, self._written = None, 0

    def _lose(self, topic: Topic, reason: str, error: str) -> bool:
        """Count a lost event, and log the count now and then."""
        metrics.DROPPED.labels(topic.name, reason).inc()
        self._unreported += 1
        if (now := self._clock()) >= self._reported_at + REPORT_S:
            log.error("events lost", topic=topic.name, reason=reason, error=error, events=self._unreported)
            self._reported_at, self._unreported = now, 0
        return False


def _lock(folder: Path) -> IO[bytes]:
    for _ in range(TRIES):
        if (held := segments.locked(folder, segments.WRITER)) is not None:
            return held
        time.sleep(TRY_S)
    raise RuntimeError(f"journal {folder}: another process writes to it; give each process a folder of its own")


def _repair(path: Path) -> int:
    """Cut off a record that a killed writer left unfinished, and return how many bytes it had. Other damage is the
    shipper's to count."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # just shipped and deleted
        return 0
    whole = max((end for _, end in frames.bodies(data)), default=0)
    if not frames.torn(data[whole:], len(data) - whole):
        return 0
    log.warning("journal ends in a torn record, cut off", path=str(path), bytes=len(data) - whole)
    os.truncate(path, whole)
    return len(data) - whole
