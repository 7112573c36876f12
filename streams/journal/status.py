"""A shipper's state, in a small file in the journal's folder, for people, `/metrics` and the doctor."""

from __future__ import annotations

from pathlib import Path

import msgspec

from monitor.canonical import UNREADABLE
from streams.files import put

NAME = "status.json"


class ShipperStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state as the shipper last wrote it, at most once a second while it runs. Counts are of all time."""

    time_ms: int
    connected: bool
    lag_bytes: int
    published: dict[str, int]  # by topic
    dropped: dict[str, dict[str, int]]  # by topic and reason
    damaged_bytes: int
    error: str = ""  # the last trouble with the broker, while it lasts


def write(folder: Path, status: ShipperStatus) -> None:
    """Replace the file as a whole; raise OSError where the disk fails."""
    put(folder / NAME, msgspec.json.format(msgspec.json.encode(status)))


def read(folder: Path) -> ShipperStatus | None:
    """Return the last status; None where no shipper has been at work."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=ShipperStatus)
    except (FileNotFoundError, *UNREADABLE):
        return None
