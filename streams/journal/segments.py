"""A journal's folder: numbered segments, and a lock for each of the two that work there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from streams.files import try_lock

SUFFIX = ".journal"
WRITER, SHIPPER = "writer.lock", "shipper.lock"


@dataclass(frozen=True, slots=True, order=True)
class JournalPosition:
    """A byte of a journal."""

    segment: int
    offset: int = 0


def path(folder: Path, number: int) -> Path:
    """Return a segment's path; names sort as numbers do."""
    return folder / f"{number:012d}{SUFFIX}"


def sizes(folder: Path) -> dict[int, int]:
    """Return the size of each segment there is, lowest number first."""
    try:
        with os.scandir(folder) as entries:
            found = [(int(each.name[: -len(SUFFIX)]), _size(each)) for each in entries if _is_segment(each.name)]
    except FileNotFoundError:
        return {}
    return dict(sorted(found))


def _is_segment(name: str) -> bool:
    return name.endswith(SUFFIX) and name[: -len(SUFFIX)].isdecimal()


def _size(entry: os.DirEntry[str]) -> int:
    """Return its size; 0 where it was deleted since."""
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0


def locked(folder: Path, name: str) -> IO[bytes] | None:
    """Return the lock, held until the file is closed or the process ends in any way; None where another has it."""
    return try_lock(folder / name)


def abandoned(folder: Path) -> bool:
    """Return whether there is no writer. Takes the writer's lock for a moment: a writer that starts tries more than
    once."""
    held = locked(folder, WRITER)
    if held is not None:
        held.close()
    return held is not None
