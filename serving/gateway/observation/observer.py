"""The observer of requests: `serving.gateway.http.asgi` calls it at the begin and at the end of each."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from serving.gateway.http.request import Request
from serving.gateway.observation.access_log import Accessed, AccessLog
from serving.gateway.observation.attributes import HUNG_UP, LONGEST
from streams.telemetry.spans import ERROR, Trace, Value, fresh, read, written
from streams.telemetry.tracer import Tracer

log = structlog.get_logger()

PARENT = "traceparent"
HOST = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class RequestObserver:
    """What is wanted of the two: lines, spans. `paths`: those that the gateway answers; a client may ask for others.
    Nothing here fails a request."""

    access: AccessLog | None
    tracer: Tracer | None
    paths: Collection[str]

    def begin(self, request: Request) -> None:
        """Note when the request came, and begin its trace where it is traced. A client's own decision goes before; an
        engine learns of it either way, so that its spans are there where ours are."""
        request.began_ns = time.time_ns()
        if self.tracer is None:
            return
        parent = read(request.headers.get(PARENT, ""))
        request.trace = trace = self.tracer.begin(request.method, "server", parent)
        if trace is not None:
            structlog.contextvars.bind_contextvars(trace_id=trace.id)
        elif parent is None:
            request.headers[PARENT] = written(fresh(sampled=False))

    def end(self, request: Request) -> None:
        """Hand over what is known of the request, once it is over."""
        try:
            ended_ns = time.time_ns()
            status = request.status or (HUNG_UP if request.gone else 500)
            if self.access is not None:
                self.access.keep(_accessed(request, status, ended_ns))
            if self.tracer is not None and request.trace is not None:
                self._described(request, request.trace, status).root.ended_ns = ended_ns
                self.tracer.keep(request.trace.root, *request.trace.calls)
        except Exception:  # a defect here must cost a line, not a connection
            log.exception("request not observed", path=request.path[:LONGEST])

    def close(self) -> None:
        """Write and send what waits."""
        if self.access is not None:
            self.access.close()
        if self.tracer is not None:
            self.tracer.close()

    def _described(self, request: Request, trace: Trace, status: int) -> Trace:
        route = request.path if request.path in self.paths else ""
        host, port = _asked_at(request.headers.get("host", ""))
        found: dict[str, Value] = {
            "http.request.method": request.method,
            "url.path": request.path[:LONGEST],
            "http.response.status_code": status,
            "server.address": host[:LONGEST],
        }
        if port:
            found["server.port"] = port
        if route:
            found["http.route"] = route
            if trace.root.name == request.method:
                trace.root.name = f"{request.method} {route}"
        if request.key.id:
            found["homeostat.key"] = request.key.id
        if status >= 500 or request.gone:
            found[ERROR] = str(HUNG_UP if request.gone else status)
        trace.root.attributes = found | trace.root.attributes
        return trace


def _asked_at(given: str) -> tuple[str, int]:
    """Return whom a client asked, and the port, 0 where it names none; what it gives may be anything.

    >>> _asked_at("api.example:8443"), _asked_at("[::1]"), _asked_at("x:\\u00b2"), _asked_at("x:123456")
    (('api.example', 8443), ('[::1]', 0), ('x:²', 0), ('x:123456', 0))
    """
    found = HOST.fullmatch(given)
    return (found["host"], int(found["port"])) if found else (given, 0)


def _accessed(request: Request, status: int, ended_ns: int) -> Accessed:
    return Accessed(
        time_ns=request.began_ns,
        method=request.method,
        path=request.path[:LONGEST],
        status=status,
        ms=round((ended_ns - request.began_ns) / 1e6, 3),
        key=request.key.id,
        alias=request.alias,
        version=request.version,
        bytes=0 if request.method == "HEAD" else request.sent,
        trace_id=request.trace.id if request.trace is not None else "",
    )
