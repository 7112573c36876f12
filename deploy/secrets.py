"""Keys that an installation makes for itself: the signing key and one API key, readable by their owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def secret(path: Path, make: str = "") -> str:
    """The secret at `path`; made (mode 0600) when there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make or secrets.token_urlsafe(32))
    return path.read_text().strip()
