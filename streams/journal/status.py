"""How a shipper does, in a small file beside the journal, for whoever asks: people, `/metrics`, the doctor."""

from __future__ import annotations

from pathlib import Path

import msgspec

from streams.files import put

NAME = "status.json"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the shipper last wrote, at most once a second while it runs. Counts are of all time."""

    time_ms: int
    connected: bool
    lag_bytes: int
    published: dict[str, int]  # by topic
    dropped: dict[str, dict[str, int]]  # by topic and reason
    damaged_bytes: int
    error: str = ""  # the last trouble with the broker, while it lasts


def write(folder: Path, status: Status) -> None:
    """Replaces the file as a whole; raises OSError."""
    put(folder / NAME, msgspec.json.format(msgspec.json.encode(status)))


def read(folder: Path) -> Status | None:
    """None where no shipper has been at work."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Status)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
