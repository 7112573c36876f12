"""A process's own folder: one process of a role at a time, and an id by which records tell folders apart."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import IO

import structlog

from deploy.config.settings import Config
from streams.files import put_new, try_lock
from streams.identity import process_name

log = structlog.get_logger()

LOOK_AGAIN_S = 0.5
PLACE = "place.id"


def lock_when_free(path: Path, stop: threading.Event) -> IO[bytes] | None:
    """Wait until no other process holds the lock; return it, or None where `stop` came first."""
    waited = False
    while (lock := try_lock(path)) is None:
        if not waited:
            log.warning("another process works in this folder; this one waits for its end", lock=str(path))
        waited = True
        if stop.wait(LOOK_AGAIN_S):
            return None
    return lock


def own_name(config: Config, role: str, name: str = "") -> str:
    """Return a name that no other process has: after the pod or the host, and after the folder, so that two processes
    that are called the same are never taken for one. The same after a restart, as long as the folder is there."""
    return f"{process_name(role, name)}@{_place(config.stack.var)}"


def _place(var: Path) -> str:
    path = var / PLACE
    put_new(path, secrets.token_hex(4).encode())
    return path.read_text(encoding="ascii").strip()
