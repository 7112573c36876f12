"""The tracer of a process: it decides what is traced, keeps a bounded number of spans, and a thread sends them.

Nothing here waits for the collector or fails the work that is traced."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from streams.telemetry import metrics
from streams.telemetry.settings import TraceSettings
from streams.telemetry.spans import Kind, Span, Trace, TraceContext, Value, fresh, of_request

log = structlog.get_logger()

EVERY_S = 0.5
BATCH = 256  # spans that are sent at once
LAST_S = 3.0  # for what waits when the process ends

Export = Callable[[Sequence[Span]], str]  # sends; returns why it did not go well, empty where it did


class Tracer:
    """Of one process. `begin` and `keep` may be called by any thread."""

    def __init__(self, share: float, waiting: int, export: Export) -> None:
        """`share`: of the traces that begin here; `waiting`: spans that wait at most."""
        self.share = share
        self._most, self._export = waiting, export
        self._waiting: deque[Span] = deque()
        self._stop, self._away, self._full = threading.Event(), False, False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def begin(
        self, name: str, kind: Kind, parent: TraceContext | None = None, share: float | None = None
    ) -> Trace | None:
        """Begin a trace, or go on with the parent's, which has decided whether it is recorded; None where it is not.
        `share`: another one than the process's."""
        if parent is not None:
            if not parent.sampled:
                return None
            own = TraceContext(parent.trace_id, random.getrandbits(64) or 1, sampled=True)
            return Trace.begun(name, kind, own, parent.span_id)
        chosen = random.random() < (self.share if share is None else share)
        return Trace.begun(name, kind, fresh(sampled=True)) if chosen else None

    def keep(self, *spans: Span) -> None:
        """Keep spans that have ended, to be sent; drop and count those for which there is no room."""
        if len(self._waiting) + len(spans) <= self._most:
            self._waiting.extend(spans)
            return
        metrics.SPANS.labels("dropped").inc(len(spans))
        if not self._full:
            self._full = True
            log.warning("spans are dropped: the collector of traces is too slow for them", waiting=len(self._waiting))

    def work(
        self, name: str, request: str, began_ms: int, ended_ms: int, found: dict[str, Value], *, child: bool = False
    ) -> None:
        """Keep a span of work on a retraining's request, whichever process did it: all of one request are one trace,
        whose root is the retraining's; those of others are its children."""
        root = of_request(request)
        own = random.getrandbits(64) or 1 if child else root.span_id
        parent = root.span_id if child else 0
        began_ns, ended_ns = began_ms * 1_000_000, ended_ms * 1_000_000
        self.keep(Span(name, "internal", root.trace_id, own, parent, began_ns, ended_ns, found))

    def close(self) -> None:
        """Send what waits, as far as a moment is enough for it."""
        self._stop.set()
        self._thread.join(LAST_S)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._send()
        self._send()

    def _send(self) -> None:
        while self._waiting:
            spans = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            why = self._tried(spans)
            metrics.SPANS.labels("failed" if why else "sent").inc(len(spans))
            if why and not self._away:
                log.warning("the collector of traces takes nothing; spans are dropped until it does", why=why)
            elif self._away and not why:
                log.info("the collector of traces takes spans again")
            self._away = bool(why)
            if why:
                return
        self._full = False

    def _tried(self, spans: Sequence[Span]) -> str:
        try:
            return self._export(spans)
        except Exception as error:  # the thread's top: the exporter raises whatever its libraries raise
            return f"{type(error).__name__}: {str(error)[:200]}"


def tracer_of(settings: TraceSettings, role: str, name: str) -> Tracer | None:
    """Return the role's tracer; None where nothing is traced. Raise ValueError or OSError where the file of headers
    cannot be used."""
    if not settings.endpoint:
        return None
    from streams.telemetry.export import Exporter

    return Tracer(settings.share, settings.waiting, Exporter(settings, role, name))
