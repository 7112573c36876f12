"""What the processes of the stack have in common: their names, their own folder, their traces, and how a signal ends
them."""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog

from deploy.config.settings import Config
from streams.files import put_new, try_lock
from streams.identity import place_name, process_name
from streams.log.ending import ENDING

if TYPE_CHECKING:
    from streams.telemetry.tracer import Tracer

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_AGAIN_S = 0.5  # at a lock
PLACE = "place.id"

log = structlog.get_logger()


def instance(name: str = "") -> str:
    """Return what tells this process from others of its role: its host or pod, and the name it was started with."""
    place = place_name()
    return f"{place}/{name}" if name else place


def tracer_of(config: Config, role: str, name: str = "") -> Tracer | None:
    """Return the tracer of a role; None where nothing is traced."""
    from streams.telemetry import tracer

    return tracer.tracer_of(config.traces, role, instance(name))


def stopped_by_signals() -> asyncio.Event:
    """Return an event of the running loop that SIGTERM and SIGINT set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _end, stop)
    return stop


def thread_stopped_by_signals() -> threading.Event:
    """Return an event for threads that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: _end(stop))
    return stop


def _end(stop: asyncio.Event | threading.Event) -> None:
    stop.set()
    ENDING.set()


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
    if not path.exists():  # a disk that is full by now hinders no start
        put_new(path, secrets.token_hex(4).encode())
    return path.read_text(encoding="ascii").strip()
