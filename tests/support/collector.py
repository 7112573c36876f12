"""A collector of traces on a free port of this machine: OTLP over HTTP, decoded as the standard's own messages."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.waiting import wait


@dataclass(slots=True)
class Received:
    """One span as it came."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    ms: float
    failed: bool
    attributes: dict[str, Any]
    service: dict[str, Any]


@dataclass(slots=True)
class Collector:
    url: str = ""
    status: int = 200  # of its answers
    spans: list[Received] = field(default_factory=list)
    raw: bytes = b""  # all that came, one after the other
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.paths.append(path)
        self.headers.append(headers)
        if self.status == 200:
            data = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            self.raw += data
            self.spans += received(data)
        return self.status

    def until(self, count: int) -> list[Received]:
        """The spans, once there are so many."""
        wait(lambda: len(self.spans) >= count, f"{count} spans", 20)
        assert len(self.spans) == count
        return self.spans


def received(data: bytes) -> list[Received]:
    message = ExportTraceServiceRequest.FromString(data)
    found = []
    for resource in message.resource_spans:
        service = {each.key: plain(each.value) for each in resource.resource.attributes}
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            ms = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
            ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
            known = {each.key: plain(each.value) for each in span.attributes}
            found.append(Received(span.name, span.kind, *ids, ms, span.status.code == 2, known, service))
    return found


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, while entered."""
    collector = Collector()
    server = listening(collector, 0)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listening(collector: Collector, port: int) -> ThreadingHTTPServer:
    """The collector's server, which does not serve yet."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            given = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(collector.take(self.path, given, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """It says nothing."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":  # for benches: it takes all, and keeps nothing
    listening(Collector(status=202), int(sys.argv[1])).serve_forever()
