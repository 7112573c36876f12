"""The records that wait in a journal, read in order, slice by slice, while another process goes on writing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from monitor.canonical import UNREADABLE
from streams.journal import cursor, frames, segments
from streams.journal.frames import HEAD, LARGEST, JournalRecord
from streams.journal.segments import JournalPosition

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BacklogSlice:
    """Some records in a row, and for each the position after it."""

    records: Sequence[JournalRecord]
    ends: Sequence[JournalPosition]


class Backlog:
    """The records from a position on. Only `forget` deletes anything."""

    def __init__(self, folder: Path, at: JournalPosition) -> None:
        self._folder, self.at = folder, at
        self.damaged_bytes = 0  # skipped on the way
        self._file: tuple[int, int] | None = None  # segment and descriptor

    def take(self, most_records: int, most_bytes: int) -> BacklogSlice | None:
        """Return the next records, at least one, of one segment; None where no whole one waits for now. Goes past the
        end of a segment that has no writer any more, and past the damage in it. Raise OSError where the disk fails."""
        while (number := self._open()) is not None:
            taken = self._parsed(number, most_records, most_bytes)
            if taken is None:
                if not self._final(number):
                    return None
                taken = self._parsed(number, most_records, most_bytes)  # with the last records, written in between
            if taken is not None:
                self.at = taken.ends[-1]
                return taken
            self._leave(number)
        return None

    def forget(self, before: int) -> None:
        """Delete the segments with lower numbers."""
        for number in segments.sizes(self._folder):
            if number < before:
                segments.path(self._folder, number).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the segment that is being read."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def _open(self) -> int | None:
        """Open the segment to read and return its number; None where there is none."""
        if self._file is None:
            there = [number for number in segments.sizes(self._folder) if number >= self.at.segment]
            if not there:
                return None
            if there[0] > self.at.segment:
                self.at = JournalPosition(there[0])
            self._file = there[0], os.open(segments.path(self._folder, there[0]), os.O_RDONLY)
        return self._file[0]

    def _final(self, number: int) -> bool:
        """Return whether nothing will be appended to it any more."""
        return any(other > number for other in segments.sizes(self._folder)) or segments.abandoned(self._folder)

    def _parsed(self, number: int, most_records: int, most_bytes: int) -> BacklogSlice | None:
        data = self._bytes(most_bytes)
        records, ends = [], []
        for body, end in frames.bodies(data):
            try:
                records.append(frames.unpack(body))
            except UNREADABLE:  # written by another release: as good as damaged
                break
            ends.append(JournalPosition(number, self.at.offset + end))
            if len(records) >= most_records or end >= most_bytes:
                break
        return BacklogSlice(records, ends) if records else None

    def _bytes(self, most: int) -> bytes:
        """Return the bytes from the position on: one whole record at least, where there is one."""
        assert self._file is not None
        data = os.pread(self._file[1], most, self.at.offset)
        if len(data) == most and next(frames.bodies(data), None) is None:
            return os.pread(self._file[1], HEAD.size + LARGEST, self.at.offset)
        return data

    def _leave(self, number: int) -> None:
        """Go on to the next segment; the rest of this one is lost."""
        assert self._file is not None
        left = os.fstat(self._file[1]).st_size - self.at.offset
        if frames.torn(os.pread(self._file[1], HEAD.size, self.at.offset), left):
            log.warning("segment ends in a torn record, of which nothing was promised", segment=number, bytes=left)
        elif left > 0:
            log.error("segment is damaged; the rest of it is lost", segment=number, offset=self.at.offset, bytes=left)
            self.damaged_bytes += left
        self.close()
        self.at = JournalPosition(number + 1)


def waiting_bytes(folder: Path) -> int:
    """Return how many bytes are journaled and neither confirmed nor dropped yet."""
    done = cursor.read(folder)
    there = {number: size for number, size in segments.sizes(folder).items() if number >= done.segment}
    return sum(there.values()) - min(done.offset, there.get(done.segment, 0))
