"""Files that hold what clients asked and were answered, or routes: for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

FOLDER, FILE, UMASK = 0o700, 0o600, 0o077
EVERYBODY = stat.S_IRWXO


def private_folder(path: Path) -> Path:
    """Make the folder for its owner alone; take from one that is there what everybody may do with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & EVERYBODY and path.stat().st_uid == os.geteuid():
        path.chmod(mode & ~EVERYBODY)
    return path


def private_opener(path: str, flags: int) -> int:
    """For `open(opener=...)`: a new file is its owner's alone."""
    return os.open(path, flags, FILE)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read."""
    with open(path, "wb", opener=private_opener) as file:
        file.write(data)
