"""The access log: one line for each request, written by a thread, so that no reply waits for a disk or a pipe."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

log = structlog.get_logger()

EVERY_S = 0.25
MOST = 65_536  # lines that wait; more are dropped, and a line says how many
LAST_S = 2.0  # for what waits when the process ends

Render = Callable[[dict[str, object]], str]  # a line, without its end


class Accessed(NamedTuple):
    """One request that is over."""

    time_ns: int  # when it came
    method: str
    path: str
    status: int
    ms: float
    key: str  # the API key's id
    alias: str
    version: str
    bytes: int  # of the answer's body
    trace_id: str


class AccessLog:
    """Lines of requests. `write` takes whole lines."""

    def __init__(self, render: Render, write: Callable[[str], object]) -> None:
        self._render, self._write = render, write
        self._waiting: deque[Accessed] = deque()
        self._dropped, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def keep(self, request: Accessed) -> None:
        """Take a request's line, to be written soon."""
        if len(self._waiting) < MOST:
            self._waiting.append(request)
        else:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits."""
        self._stop.set()
        self._thread.join(LAST_S)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._line(self._waiting.popleft()) for _ in range(len(self._waiting))]
        dropped, self._dropped = self._dropped, 0
        try:
            if lines:
                self._write("".join(lines))
        except Exception as error:  # the thread's top: a full disk, a pipe that nobody reads
            log.warning("the access log was not written", lines=len(lines), error=f"{type(error).__name__}: {error}")
        if dropped:
            log.warning("lines of the access log were dropped", lines=dropped)

    def _line(self, request: Accessed) -> str:
        at = datetime.fromtimestamp(request.time_ns / 1e9, UTC).isoformat(timespec="microseconds")
        found: dict[str, object] = {"timestamp": at.replace("+00:00", "Z"), "level": "info", "event": "request"}
        found |= {name: value for name, value in request._asdict().items() if name != "time_ns" and value != ""}
        return f"{self._render(found)}\n"
