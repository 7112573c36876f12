"""What the processes of the stack have in common: their names, their traces, and how a signal ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

from deploy.config.settings import Config

if TYPE_CHECKING:
    from streams.telemetry.tracer import Tracer

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def instance(name: str = "") -> str:
    """Return what tells this process from others of its role: its host or pod, and the name it was started with."""
    host = os.environ.get("POD_NAME") or socket.gethostname()
    return f"{host}/{name}" if name else host


def tracer_of(config: Config, role: str, name: str = "") -> Tracer | None:
    """Return the tracer of a role; None where nothing is traced."""
    from streams.telemetry import tracer

    return tracer.tracer_of(config.traces, role, instance(name))


def stopped_by_signals() -> asyncio.Event:
    """Return an event of the running loop that SIGTERM and SIGINT set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


def thread_stopped_by_signals() -> threading.Event:
    """Return an event for threads that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return stop
