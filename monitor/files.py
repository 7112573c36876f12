"""Files that a reader sees whole or not at all."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4


def put(path: Path, data: bytes) -> None:
    """Writes a file, its folder too where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")  # two workers may write one name at once
    part.write_bytes(data)
    part.replace(path)
