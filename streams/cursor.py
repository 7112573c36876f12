"""How far a journal was shipped, and what became of it: one small record, so that place and counts always agree."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from streams.frames import bodies, frame

NAME = "cursor"
TRIES = 3


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Everything before `offset` of segment `segment` is confirmed or dropped; counts are of all time."""

    segment: int = 0
    offset: int = 0
    published: dict[str, int] = {}  # by topic
    dropped: dict[str, dict[str, int]] = {}  # by topic and reason
    damaged_bytes: int = 0


def read(folder: Path) -> Cursor:
    """As last written; from the beginning where there is none or a power cut tore it: events are then sent again."""
    for _ in range(TRIES):
        try:
            body, _ = next(bodies((folder / NAME).read_bytes()))
            return msgspec.json.decode(body, type=Cursor)
        except FileNotFoundError:
            break
        except (StopIteration, msgspec.DecodeError):  # perhaps it was just being written
            continue
    return Cursor()


class CursorFile:
    """Writes the cursor in place, in one go: a killed process leaves the old one or the new one."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / NAME, os.O_CREAT | os.O_WRONLY, 0o644)

    def write(self, cursor: Cursor) -> None:
        """Raises OSError."""
        os.pwrite(self._fd, frame(msgspec.json.encode(cursor)), 0)

    def close(self) -> None:
        os.close(self._fd)
