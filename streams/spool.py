"""What the broker could not take yet, on disk: checksummed records in bounded segments, read back in order."""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO

import msgspec
import structlog

log = structlog.get_logger()

HEAD = struct.Struct("<II")  # length of the body, CRC32 of the body
LARGEST = 64 * 1_048_576  # a longer length is a torn record, not a record
SUFFIX = ".spool"


class Fsync(StrEnum):
    """When bytes are forced to the disk. A killed process loses nothing either way; a power cut may."""

    ALWAYS = "always"  # after each append
    SEGMENT = "segment"  # when a segment is full
    NEVER = "never"


class Spooled(msgspec.Struct, frozen=True, array_like=True):
    """One record on its way to a topic, as bytes."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Spool:
    """A folder of segments, oldest first. One process at a time; raises RuntimeError where another has it.

    Not thread-safe: one thread appends and replays."""

    def __init__(
        self, folder: Path, max_bytes: int, segment_bytes: int = 4 * 1_048_576, fsync: Fsync = Fsync.SEGMENT
    ) -> None:
        self._folder, self._max_bytes, self._segment_bytes, self._fsync = folder, max_bytes, segment_bytes, fsync
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / "lock")
        for leftover in folder.glob("*.part"):
            leftover.unlink()
        self._sizes = {path: path.stat().st_size for path in sorted(folder.glob(f"*{SUFFIX}"))}
        self._open: IO[bytes] | None = None
        if self._sizes:
            self._repair(list(self._sizes)[-1])

    @property
    def size_bytes(self) -> int:
        return sum(self._sizes.values())

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._sizes)

    def append(self, records: Sequence[Spooled]) -> int:
        """Takes as many of the records as fit within the bounds, from the first on; returns how many. Raises OSError
        where the disk fails; the file then holds whole records only."""
        taken, at = 0, self._tail()
        for record in records:
            data = _framed(record)
            if self.size_bytes + len(data) > self._max_bytes:
                break
            if self._sizes[at] + len(data) > self._segment_bytes and self._sizes[at]:
                self._seal()
                at = self._tail()
            self._write(at, data)
            taken += 1
        if self._fsync is Fsync.ALWAYS and self._open is not None:
            os.fsync(self._open.fileno())
        self._forget_empty(at)
        return taken

    def oldest(self) -> list[Spooled]:
        """The oldest segment's records; [] when nothing waits. Stays until `settle`."""
        if not self._sizes:
            return []
        self._seal()
        path = next(iter(self._sizes))
        records, good = _parse(path.read_bytes())
        if good < self._sizes[path]:
            log.error(
                "spool segment is damaged; the rest of it is lost", path=str(path), bytes=self._sizes[path] - good
            )
        return records

    def settle(self, left: Iterable[Spooled] = ()) -> None:
        """The oldest segment is replayed, but for the records in `left`, which keep their place. Atomic."""
        path = next(iter(self._sizes))
        data = b"".join(_framed(record) for record in left)
        if not data:
            path.unlink(missing_ok=True)
            del self._sizes[path]
            return
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(path)
        self._sizes[path] = len(data)

    def close(self) -> None:
        """What waits stays for the next one that opens the folder."""
        self._seal()
        self._lock.close()

    def _tail(self) -> Path:
        """The segment that appends go to."""
        if self._open is not None:
            return Path(self._open.name)
        newest = int(list(self._sizes)[-1].stem) if self._sizes else 0
        path = self._folder / f"{newest + 1:012d}{SUFFIX}"
        self._open = path.open("ab", buffering=0)
        self._sizes[path] = 0
        return path

    def _write(self, at: Path, data: bytes) -> None:
        assert self._open is not None
        try:
            written = self._open.write(data)
            if written != len(data):
                raise OSError(f"{at}: {written} of {len(data)} bytes written; is the disk full?")
        except OSError:
            os.ftruncate(self._open.fileno(), self._sizes[at])
            raise
        self._sizes[at] += len(data)

    def _seal(self) -> None:
        if self._open is None:
            return
        if self._fsync is not Fsync.NEVER:
            os.fsync(self._open.fileno())
        self._open.close()
        at, self._open = Path(self._open.name), None
        self._forget_empty(at)

    def _forget_empty(self, at: Path) -> None:
        if self._open is None and self._sizes.get(at) == 0:
            at.unlink(missing_ok=True)
            del self._sizes[at]
        elif self._open is not None and self._sizes.get(at) == 0:
            self._open.close()
            self._open = None
            self._forget_empty(at)

    def _repair(self, path: Path) -> None:
        """Cuts off what a killed writer left unfinished."""
        _, good = _parse(path.read_bytes())
        if good < self._sizes[path]:
            log.warning("spool ends in a torn record, cut off", path=str(path), bytes=self._sizes[path] - good)
            os.truncate(path, good)
            self._sizes[path] = good
        self._forget_empty(path)


def _framed(record: Spooled) -> bytes:
    body = msgspec.msgpack.encode(record)
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def _parse(data: bytes) -> tuple[list[Spooled], int]:
    """The whole records from the start on, and how many bytes they take."""
    records: list[Spooled] = []
    at = 0
    while at + HEAD.size <= len(data):
        length, checksum = HEAD.unpack_from(data, at)
        body = data[at + HEAD.size : at + HEAD.size + length]
        if not 0 < length <= LARGEST or len(body) < length or zlib.crc32(body) != checksum:
            break
        records.append(msgspec.msgpack.decode(body, type=Spooled))
        at += HEAD.size + length
    return records, at


def _locked(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise RuntimeError(f"spool_dir {path.parent}: another process uses it; give each process its own") from error
    return file
