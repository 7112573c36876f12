"""The cursor: how far a journal was shipped, and with which outcomes. One small record, so that position and counts
always agree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from monitor.canonical import UNREADABLE
from streams.files import FILE
from streams.journal.frames import bodies, frame
from streams.journal.segments import JournalPosition

NAME = "cursor"
TRIES = 3


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The position and the counts. Everything before `offset` of segment `segment` is confirmed or dropped; counts are
    of all time."""

    segment: int = 0
    offset: int = 0
    published: dict[str, int] = {}  # by topic
    dropped: dict[str, dict[str, int]] = {}  # by topic and reason
    damaged_bytes: int = 0

    @property
    def position(self) -> JournalPosition:
        """Return the byte that comes next."""
        return JournalPosition(self.segment, self.offset)


def moved(
    done: Cursor,
    to: JournalPosition,
    published: Mapping[str, int] | None = None,
    dropped: Mapping[tuple[str, str], int] | None = None,
    damaged_bytes: int = 0,
) -> Cursor:
    """Return the cursor at that position, with the outcomes on the way there counted.

    >>> moved(Cursor(published={"a": 1}), JournalPosition(2, 10), {"a": 2}, {("b", "too_large"): 1}).dropped
    {'b': {'too_large': 1}}
    """
    lost = {topic: dict(reasons) for topic, reasons in done.dropped.items()}
    for (topic, reason), count in (dropped or {}).items():
        lost.setdefault(topic, {})[reason] = lost.get(topic, {}).get(reason, 0) + count
    kept = {topic: done.published.get(topic, 0) + count for topic, count in (published or {}).items()}
    return replace(
        done,
        segment=to.segment,
        offset=to.offset,
        published={**done.published, **kept},
        dropped=lost,
        damaged_bytes=done.damaged_bytes + damaged_bytes,
    )


def read(folder: Path) -> Cursor:
    """Return the cursor as last written; from the beginning where there is none or a power cut tore it: events are then
    sent again."""
    for _ in range(TRIES):
        try:
            body, _ = next(bodies((folder / NAME).read_bytes()))
            return msgspec.json.decode(body, type=Cursor)
        except FileNotFoundError:
            break
        except (StopIteration, *UNREADABLE):  # perhaps it was just being written
            continue
    return Cursor()


class CursorFile:
    """The cursor's file, written in place and in one go: a killed process leaves the old cursor or the new one. (A file
    renamed over the other would be sent to the disk each time.)"""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / NAME, os.O_CREAT | os.O_WRONLY, FILE)

    def write(self, cursor: Cursor) -> None:
        """Write the cursor; raise OSError where the disk fails."""
        os.pwrite(self._fd, frame(msgspec.json.encode(cursor)), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
