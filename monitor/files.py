"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def put(path: Path, data: bytes) -> None:
    """Writes a file, its folder too where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")  # two workers may write one name at once
    with open(part, "wb", opener=_private) as file:
        file.write(data)
    part.replace(path)


def _private(path: str, flags: int) -> int:
    """What clients said is in them."""
    return os.open(path, flags, 0o600)
