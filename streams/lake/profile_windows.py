"""Windows of event time for which a whylogs profile is kept, and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote


class ProfileWindow(NamedTuple):
    """The alias, version and window of one profile."""

    alias: str
    version: str
    start_ms: int


def folder(root: Path, window: ProfileWindow) -> Path:
    """Return the folder of a window's profiles, one file a partition.

    >>> str(folder(Path("var/profiles"), ProfileWindow("support", "support-0123456789ab", 0)))
    'var/profiles/support/version=support-0123456789ab/0'
    """
    return root / window.alias / f"version={quote(window.version, safe='')}" / str(window.start_ms)


def window_start(time_ms: int, width_ms: int) -> int:
    """Return the beginning of the window that holds this time.

    >>> window_start(7_250_000, 3_600_000)
    7200000
    """
    return time_ms - time_ms % width_ms
