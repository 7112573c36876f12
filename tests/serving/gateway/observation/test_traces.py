"""Traces of requests, as a collector of OTLP gets them from the gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from deploy.stack.ports import free
from serving.gateway.observation.observer import RequestObserver
from streams.telemetry import tracer as module
from streams.telemetry.settings import TraceSettings
from streams.telemetry.tracer import tracer_of
from tests.serving.support.scene import BODY, OLD, Scene
from tests.support.collector import Collector, Received, collecting

TRACE, PARENT = "a" * 32, "b" * 16
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
SERVER, CLIENT = 2, 3  # kinds on the wire


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.02)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


async def traced(url: str, share: float = 1.0) -> AsyncIterator[Scene]:
    scene, tracer = Scene(), tracer_of(TraceSettings(endpoint=url, share=share, timeout_s=0.5), "gateway", "here")
    assert tracer is not None
    scene.observer = partial(RequestObserver, None, tracer)
    async with scene.running() as running:
        yield running
    tracer.close()


@pytest.fixture
async def scene(collector: Collector) -> AsyncIterator[Scene]:
    async for each in traced(collector.url):
        yield each


async def spans(collector: Collector, count: int) -> list[Received]:
    """The root first."""
    found = await asyncio.to_thread(collector.until, count)
    return sorted(found, key=lambda span: span.kind)


async def test_a_request_is_a_span_with_what_the_conventions_ask_for(scene: Scene, collector: Collector) -> None:
    body = {**BODY, "max_tokens": 5, "n": 2}
    await scene.post(body=body, headers={"x-session-id": "a talk", "traceparent": SAMPLED})
    root, call = await spans(collector, 2)
    (event,) = await scene.served()
    assert (root.name, root.kind, root.trace_id, root.parent_id) == ("chat support", SERVER, TRACE, PARENT)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "support",
        "gen_ai.request.stream": False,
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.model": OLD,
        "gen_ai.response.finish_reasons": ["stop", "stop"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.conversation.id": event.conversation,
        "homeostat.alias": "support",
        "homeostat.version": OLD,
        "homeostat.arm": "champion",
        "homeostat.replica": event.replica,
        "homeostat.event_id": event.id,
        "homeostat.key": "app",
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": scene.port,
    }
    assert root.attributes == expected
    assert root.service["service.name"] == "homeostat-gateway"
    assert (call.kind, call.trace_id, call.parent_id) == (CLIENT, TRACE, root.span_id)
    assert call.ms <= root.ms
    engine = scene.engines[int(event.replica[-1])]
    assert f"{call.attributes['server.address']}:{call.attributes['server.port']}" in engine.url
    assert engine.headers[-1]["traceparent"] == f"00-{TRACE}-{call.span_id}-01"
    assert not root.failed
    assert not call.failed


async def test_a_stream_says_when_its_first_token_came(scene: Scene, collector: Collector) -> None:
    await scene.post(body={**BODY, "stream": True})
    root, _ = await spans(collector, 2)
    assert root.attributes["gen_ai.request.stream"] is True
    assert 0 < root.attributes["gen_ai.response.time_to_first_chunk"] < root.ms / 1e3
    assert root.attributes["gen_ai.usage.output_tokens"] == 3


async def test_each_try_is_a_span_and_its_engine_gets_its_id(scene: Scene, collector: Collector) -> None:
    """The first replica refuses connections."""
    scene.attest(0, url=f"http://127.0.0.1:{free()[0]}")
    for _ in range(8):
        await scene.post(headers={"traceparent": SAMPLED, "tracestate": "team=1"})
        if len(collector.spans) % 2:
            break
    await asyncio.sleep(0.3)
    failed = [span for span in collector.spans if span.failed]
    assert failed
    assert {span.attributes["error.type"] for span in failed} == {"Unreached"}
    assert {span.kind for span in failed} == {CLIENT}
    answered = [span for span in collector.spans if span.kind == CLIENT and not span.failed]
    asked = [headers["traceparent"] for headers in scene.engines[1].headers]
    assert sorted(asked) == sorted(f"00-{TRACE}-{span.span_id}-01" for span in answered)
    assert {headers["tracestate"] for headers in scene.engines[1].headers} == {"team=1"}


async def test_what_is_refused_is_a_span_too(scene: Scene, collector: Collector) -> None:
    await scene.post(key="wrong")
    await scene.post(path="/v1/nothing/ann@example.org")
    await scene.post(body={**BODY, "model": "sales"})
    await asyncio.to_thread(collector.until, 3)
    found = {(span.name, span.attributes["http.response.status_code"]) for span in collector.spans}
    assert found == {("POST /v1/chat/completions", 401), ("POST", 404), ("POST /v1/chat/completions", 404)}
    assert not any(span.failed for span in collector.spans)


@pytest.mark.parametrize("host", ["x:\u00b2", "x:", ":80", "x:99999999999", "\u00e4"])
async def test_a_host_that_is_none_costs_no_span(host: str, scene: Scene, collector: Collector) -> None:
    head = f"GET /nowhere HTTP/1.1\r\nhost: {host}\r\n\r\n".encode("latin-1")
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(head)
    assert (await reader.read(12)).startswith(b"HTTP/1.1 40")
    writer.close()
    (span,) = await spans(collector, 1)
    assert (span.attributes["server.address"], span.attributes.get("server.port")) == (host, None)


async def test_an_engines_error_is_the_spans(scene: Scene, collector: Collector) -> None:
    scene.mode("break")
    await scene.post(body={**BODY, "stream": True})
    root, call = await spans(collector, 2)
    assert root.failed == call.failed is True
    assert call.attributes["error.type"] == "502"


@pytest.mark.parametrize("stream", [False, True])
async def test_no_text_of_a_client_or_an_engine_is_in_a_span(scene: Scene, collector: Collector, stream: bool) -> None:
    headers = {"x-homeostat-tenant": "acme-corp", "x-session-id": "my-session", "x-homeostat-user": "ann@example.org"}
    await scene.post(body={**BODY, "stream": stream}, headers=headers)
    await spans(collector, 2)
    for private in (b"Where is my", b"arrival", b"secret", b"acme-corp", b"my-session", b"example.org"):
        assert private not in collector.raw


async def test_a_client_that_is_not_traced_is_not_traced_here(scene: Scene, collector: Collector) -> None:
    await scene.post(headers={"traceparent": UNSAMPLED})
    await scene.post(headers={"traceparent": SAMPLED})
    await spans(collector, 2)
    asked = [headers["traceparent"] for engine in scene.engines for headers in engine.headers]
    assert UNSAMPLED in asked


async def test_an_engine_learns_that_a_request_was_not_drawn(collector: Collector) -> None:
    async for scene in traced(collector.url, share=0.0):
        await scene.post()
        (asked,) = [headers["traceparent"] for engine in scene.engines for headers in engine.headers]
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", asked)
    assert collector.spans == []


async def test_without_traces_a_clients_context_passes_as_it_is() -> None:
    async with Scene().running() as scene:
        await scene.post(headers={"traceparent": SAMPLED})
        await scene.post()
        asked = [headers.get("traceparent") for engine in scene.engines for headers in engine.headers]
    assert set(asked) == {SAMPLED, None}


@pytest.mark.parametrize("how", ["away", "refuses"])
async def test_a_collector_that_takes_nothing_fails_no_reply(how: str, collector: Collector) -> None:
    collector.status = 503
    url = collector.url if how == "refuses" else f"http://127.0.0.1:{free()[0]}"
    async for scene in traced(url):
        statuses: list[Any] = [(await scene.post()).status for _ in range(30)]
        assert statuses == [200] * 30
