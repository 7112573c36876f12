"""What the processes of the stack have in common: their logs, and how a signal ends them."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading

import structlog

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def set_up_logs() -> None:
    """Write one line an event to stderr; of libraries only warnings and errors."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)  # its warnings are our own, once more
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


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
