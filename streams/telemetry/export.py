"""Spans on their way to a collector: OpenTelemetry's records and its exporter by OTLP over HTTP.

The only module that knows OpenTelemetry; it is imported where traces are on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from streams.telemetry.settings import TraceSettings
from streams.telemetry.spans import ERROR, Span

KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
FLAGS = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("homeostat")
MOST_BYTES = 65_536  # of an answer's body that are read, so that its connection can be used again


class BriefSession(requests.Session):
    """Asks for the head of an answer. Of its body it keeps nothing: an answer without an end would take all memory, and
    all time."""

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        """Send it, and let the answer's body pass, within the time and MOST_BYTES."""
        ends, passed = time.monotonic() + settings["timeout"], 0
        with closing(super().send(request, **{**settings, "stream": True})) as answer:
            while passed < MOST_BYTES and time.monotonic() < ends and (piece := answer.raw.read1(MOST_BYTES)):
                passed += len(piece)
        return answer


class Exporter:
    """Sends spans of one process. The file of headers is read again when it has changed."""

    def __init__(self, settings: TraceSettings, role: str, name: str) -> None:
        self._settings = settings
        about = {"service.namespace": "homeostat", "service.name": f"homeostat-{role}", "service.instance.id": name}
        self._resource = Resource(about)
        self._stamp = _stamp(settings.headers_file)
        self._exporter = self._made()
        # what it would log at each try, the tracer says once
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def __call__(self, spans: Sequence[Span]) -> str:
        """Send these; return why that did not go well, empty where it did."""
        if (stamp := _stamp(self._settings.headers_file)) != self._stamp:
            self._exporter, self._stamp = self._made(), stamp
        result = self._exporter.export([readable(span, self._resource) for span in spans])
        return "" if result is SpanExportResult.SUCCESS else f"{self._settings.url} did not take {len(spans)} spans"

    def _made(self) -> OTLPSpanExporter:
        settings = self._settings
        return OTLPSpanExporter(
            endpoint=settings.url,
            certificate_file=str(settings.ca) if settings.ca else None,
            headers=headers(settings.headers_file),
            timeout=settings.timeout_s,
            compression=Compression.Gzip,
            session=BriefSession(),
        )


def headers(path: Path | None) -> dict[str, str]:
    """Read a file of headers. Raise ValueError, which names no value, where a line is none."""
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path else (), 1):
        name, colon, value = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not (colon and name.strip() and value.strip()):
            raise ValueError(f"traces.headers_file {path}: line {number} is no header, expected 'name: value'")
        found[name.strip().lower()] = value.strip()
    return found


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """Return the span as OpenTelemetry has it."""
    context = SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=FLAGS)
    parent = SpanContext(span.trace_id, span.parent_id, is_remote=True, trace_flags=FLAGS) if span.parent_id else None
    status = Status(StatusCode.ERROR, str(span.attributes[ERROR])) if span.failed else Status(StatusCode.UNSET)
    return ReadableSpan(
        span.name,
        context,
        parent,
        resource,
        span.attributes,
        kind=KINDS[span.kind],
        instrumentation_scope=SCOPE,
        status=status,
        start_time=span.began_ns,
        end_time=span.ended_ns,
    )


def _stamp(path: Path | None) -> int:
    return path.stat().st_mtime_ns if path is not None else 0
