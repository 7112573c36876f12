"""Spans reach a collector, and a collector that is away costs nothing but the spans."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import prometheus_client
import pytest
import structlog.testing

from deploy.stack.ports import free
from streams.telemetry import tracer as module
from streams.telemetry.settings import TraceSettings
from streams.telemetry.spans import Span, TraceContext
from streams.telemetry.tracer import Tracer, tracer_of
from tests.support.collector import collecting
from tests.support.waiting import wait


def count(outcome: str) -> float:
    found = prometheus_client.REGISTRY.get_sample_value("homeostat_spans_total", {"outcome": outcome})
    return found or 0.0


def _counted(least: float) -> bool:
    return count("failed") >= least


def span(name: str = "work") -> Span:
    now = time.time_ns()
    return Span(name, "internal", 7, 8, 0, now - 5_000_000, now, {"a": "b", "some": ["x", "y"]})


def made(**settings: object) -> Tracer:
    tracer = tracer_of(TraceSettings(**settings), "worker", "here")  # type: ignore[arg-type]
    assert tracer is not None
    return tracer


def test_without_an_endpoint_there_is_no_tracer_and_no_thread() -> None:
    before = threading.active_count()
    assert tracer_of(TraceSettings(), "gateway", "here") is None
    assert threading.active_count() == before


def test_a_span_arrives_with_its_process_and_the_headers_of_the_file(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("# of the collector\nAuthorization: Bearer abc\n\nx-team: cards\n")
    with collecting() as collector:
        tracer = made(endpoint=collector.url, headers_file=headers)
        tracer.keep(span())
        (found,) = collector.until(1)
        assert (found.name, found.attributes) == ("work", {"a": "b", "some": ["x", "y"]})
        assert found.ms == pytest.approx(5, abs=0.01)
        assert found.service["service.name"] == "homeostat-worker"
        assert found.service["service.instance.id"] == "here"
        assert collector.paths == ["/v1/traces"]
        assert collector.headers[0]["authorization"] == "Bearer abc"
        time.sleep(0.01)  # a file system's clock may be coarse
        headers.write_text("authorization: Bearer new\n")
        tracer.keep(span())
        collector.until(2)
        assert collector.headers[1]["authorization"] == "Bearer new"
        tracer.keep(span("last"))
        tracer.close()
        assert collector.spans[-1].name == "last"


def test_a_collector_that_is_away_is_named_once_and_costs_nothing_but_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    failed = count("failed")
    with structlog.testing.capture_logs() as logged:
        tracer = made(endpoint=f"http://127.0.0.1:{free()[0]}", timeout_s=0.2)
        for number in range(1, 4):
            began = time.monotonic()
            tracer.keep(span())
            assert time.monotonic() - began < 1
            wait(partial(_counted, failed + number), "the span fails", 20)
        tracer.close()
    assert count("failed") == failed + 3
    (warning,) = [each for each in logged if each["log_level"] == "warning"]
    assert "collector" in warning["event"]


def test_more_than_may_wait_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    go, sent, dropped = threading.Event(), list[Span](), count("dropped")

    def export(spans: Sequence[Span]) -> str:
        go.wait(20)
        sent.extend(spans)
        return ""

    with structlog.testing.capture_logs() as logged:
        tracer = Tracer(1.0, 10, export)
        for _ in range(300):
            tracer.keep(span())
        assert len(tracer._waiting) <= 10
        go.set()
        tracer.close()
    assert [each["event"].partition(":")[0] for each in logged] == ["spans are dropped"]
    assert 10 <= len(sent) <= 30
    assert count("dropped") == dropped + 300 - len(sent)


@pytest.mark.parametrize(("piece", "pause_s"), [(bytes(65_536), 0.01), (b".", 0.1)])
def test_an_answer_without_an_end_takes_neither_memory_nor_time(piece: bytes, pause_s: float) -> None:
    """All of it was read before, and the spans that came after it were never sent."""
    ended = list[OSError]()

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(piece)
                    time.sleep(pause_s)
            except OSError as error:
                ended.append(error)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tracer, sent = made(endpoint=f"http://127.0.0.1:{server.server_port}", timeout_s=0.5), count("sent")
        for number in (1, 2):
            tracer.keep(span())
            wait(lambda number=number: len(ended) == number, f"answer {number} is given up", 20)  # type: ignore[misc]
        tracer.close()
        server.shutdown()
    assert count("sent") == sent + 2


def test_an_exporter_that_raises_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    sent = list[Span]()

    def export(spans: Sequence[Span]) -> str:
        if spans[0].name == "bad":
            raise RuntimeError("a defect of a library")
        sent.extend(spans)
        return ""

    tracer, failed = Tracer(1.0, 10, export), count("failed")
    tracer.keep(span("bad"))
    wait(lambda: count("failed") == failed + 1, "it fails", 20)
    tracer.keep(span("good"))
    tracer.close()
    assert [each.name for each in sent] == ["good"]


def test_a_parent_decides_and_else_the_share() -> None:
    tracer = Tracer(0.25, 10, lambda _: "")
    begun = [tracer.begin("x", "server") for _ in range(4_000)]
    assert 850 < len([each for each in begun if each is not None]) < 1_150
    yes, no = TraceContext(1, 2, sampled=True), TraceContext(1, 2, sampled=False)
    found = tracer.begin("x", "server", yes)
    assert found is not None
    assert (found.root.trace_id, found.root.parent_id) == (1, 2)
    assert found.root.span_id not in (0, 2)
    assert tracer.begin("x", "server", no) is None
    tracer.close()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"endpoint": "collector:4317"}, "endpoint is 'collector:4317', expected an address"),
        ({"endpoint": "http://ann:pass@collector"}, "endpoint is .not shown.*headers_file"),
        ({"share": 1.5}, "share is 1.5, expected a share from 0 to 1"),
        ({"waiting": 0}, "waiting is 0, expected at least 1"),
        ({"timeout_s": 0}, "timeout_s is 0, expected a positive number of seconds"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TraceSettings(**given)  # type: ignore[arg-type]


def test_a_wrong_line_of_headers_is_named_without_its_value(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("x-team: cards\nBearer abc\n")
    with pytest.raises(ValueError, match="line 2 is no header") as raised:
        made(endpoint="http://127.0.0.1:1", headers_file=headers)
    assert "abc" not in str(raised.value)
