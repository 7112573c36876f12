"""The log of a process: one line an event on the standard error, as text for people or as JSON for programs."""

from __future__ import annotations

import logging
import select
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

from streams.telemetry import metrics
from streams.telemetry.settings import LogFormat

TEXT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
READER_S = 0.05  # for a reader that is a little behind; one that stands still is waited for once
ORDER = ["timestamp", "level", "event"]
log = structlog.get_logger()


class LossyStream:
    """A stream that raises nothing and waits for no reader: what it cannot write, for a full disk, or a pipe without a
    reader or with one that stands still, is counted. Code that logs trouble goes on, whatever becomes of the line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._stands = stream, False
        try:
            self._fd: int | None = stream.fileno()
        except OSError:  # it is no file of the system
            self._fd = None

    def write(self, text: str) -> int:
        """Write the text, and hand it to the system."""
        try:
            if not self._ready():
                raise BlockingIOError
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            metrics.LOG_LINES_LOST.inc()
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has handed everything over."""

    def _ready(self) -> bool:
        """Return whether a line would be taken: a pipe has 4 KiB of room then."""
        if self._fd is None:
            return True
        ready = bool(select.select([], [self._fd], [], 0.0 if self._stands else READER_S)[1])
        self._stands = not ready
        return ready


def set_up_logs(format: LogFormat = "text", role: str = "", name: str = "") -> None:
    """Write the events of this process; of libraries warnings and errors alone. As JSON each line is an object with
    `timestamp`, `level`, `event`, `role` and `name` (of the process), `trace_id` where there is a trace, and what else
    is known; so are the lines of libraries, and an error that ends the process."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, stamp]
    shared += [structlog.processors.StackInfoRenderer(), structlog.processors.format_exc_info]
    if format == "json":
        shared.append(_of_process(role, name))
    stream = cast(TextIO, LossyStream(sys.stderr))
    logger = structlog.WriteLogger(stream)
    structlog.configure(processors=[*shared, renderer(format)], logger_factory=lambda *_: logger)
    _libraries(format, shared, stream)


def renderer(format: LogFormat) -> Any:
    """Return what makes a line of an event, as structlog calls it."""
    if format == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.processors.KeyValueRenderer(key_order=ORDER)


def line(format: LogFormat, role: str, name: str) -> Callable[[dict[str, object]], str]:
    """Return what makes a line of an event that no logger writes, as this process's other lines are."""
    render = renderer(format)
    about = {"role": role, "name": name} if format == "json" else {}
    return lambda event: str(render(None, "info", {**event, **about}))


def _libraries(format: LogFormat, shared: list[Any], stream: TextIO) -> None:
    logging.getLogger("kafka").setLevel(logging.ERROR)  # its warnings are our own, once more
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(TEXT))
    if format == "json":
        meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        own = [structlog.stdlib.add_logger_name, *shared]
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(foreign_pre_chain=own, processors=[meta, renderer(format)])
        )
        logging.captureWarnings(True)
        sys.excepthook = _ended
        threading.excepthook = lambda found: _ended(found.exc_type, found.exc_value, found.exc_traceback)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _of_process(role: str, name: str) -> Callable[..., MutableMapping[str, Any]]:
    def add(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**{key: event.get(key) for key in ORDER}, **event, "role": role, "name": name}

    return add


def _ended(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("not caught", error=f"{kind.__name__}: {error}", exc_info=(kind, error, trace))
