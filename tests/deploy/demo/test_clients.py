from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.demo.clients import Clients, RequestOutcome
from deploy.operator.rows import LabelledRow

ROWS = [LabelledRow(f"message {i}", "reset password") for i in range(60)]


@dataclass(slots=True)
class Gateway:
    """Answers like the gateway; what goes wrong is decided by the message's text."""

    version: str = "support-1"
    model: str = "support-1"
    answer: str = "Reset Password."
    calls: list[dict[str, Any]] = field(default_factory=list)  # instead, each with its name and arguments
    asked: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    refusals: int = 0  # of feedback, before it is taken
    now: int = 0
    most: int = 0  # requests at the same time

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body | {"authorization": request.headers["authorization"]})
        number = len(self.asked)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.002)
            return await self._answer(request, body, number)
        finally:
            self.now -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse:
        text, head = body["messages"][0]["content"], self._head(number)
        if "fail" in text:
            return web.json_response({"error": {"message": "busy"}}, status=503)
        if "garbage" in text:
            return web.Response(text="<html>", headers=head)
        if not body["stream"]:
            said = {"content": None, "tool_calls": [{"function": call} for call in self.calls]}
            choice = {"message": {"role": "assistant", **(said if self.calls else {"content": self.answer})}}
            return web.json_response({"model": self.model, "choices": [choice]}, headers=head)
        response = web.StreamResponse(headers=head | {"content-type": "text/event-stream"})
        await response.prepare(request)
        for delta in self._deltas():
            chunk = {"model": self.model, "choices": [{"delta": delta}]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        if "break" not in text:
            await response.write(b"data: [DONE]\n\n")
        return response

    def _deltas(self) -> list[dict[str, Any]]:
        if not self.calls:
            return [{"content": part} for part in (self.answer[:5], self.answer[5:])]
        begun = [{"index": i, "function": {"name": call["name"], "arguments": ""}} for i, call in enumerate(self.calls)]
        ended = [{"index": i, "function": {"arguments": call["arguments"]}} for i, call in enumerate(self.calls)]
        return [{"tool_calls": begun}, *({"tool_calls": [each]} for each in ended)]

    def _head(self, number: int) -> dict[str, str]:
        return {"x-homeostat-version": self.version, "x-homeostat-request-id": f"id-{number}"}

    async def feedback(self, request: web.Request) -> web.Response:
        if self.refusals > 0:
            self.refusals -= 1
            return web.json_response({"error": {"message": "later"}}, status=503)
        self.labels.append(await request.json())
        return web.json_response({}, status=202)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def url(gateway: Gateway) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", gateway.chat)
    app.router.add_post("/v1/feedback", gateway.feedback)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


def clients_of(url: str, **settings: Any) -> Clients:
    return Clients(url, "secret", "support", feedback_delay_s=(0.0, 0.01), **settings)


async def test_each_row_is_sent_once_and_noted_down(url: str, gateway: Gateway) -> None:
    heard: list[RequestOutcome] = []
    async with clients_of(url) as clients:
        outcomes = await clients.send(ROWS, on_result=heard.append, phase="before", first_index=100)
    assert [outcome.row_index for outcome in outcomes] == list(range(100, 160))
    assert sorted(heard, key=lambda o: o.row_index) == outcomes
    assert sorted(body["messages"][0]["content"] for body in gateway.asked) == sorted(row.text for row in ROWS)
    first = outcomes[0]
    assert (first.status, first.version, first.model, first.correct) == (200, "support-1", "support-1", True)
    assert (first.failed, first.misattributed, first.phase) == (False, False, "before")
    assert first.answered_ms >= first.sent_ms > 0


async def test_requests_are_those_of_an_openai_client_and_a_share_is_streamed(url: str, gateway: Gateway) -> None:
    async with clients_of(url, max_tokens=9, streamed_share=0.3) as clients:
        outcomes = await clients.send(ROWS, phase="after")
    body = gateway.asked[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("support", 0, 9)
    assert body["authorization"] == "Bearer secret"
    assert len({body["user"] for body in gateway.asked}) > 10
    assert 8 <= sum(outcome.streamed for outcome in outcomes) <= 30
    assert {outcome.answer for outcome in outcomes} == {"Reset Password."}


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["whole", "streamed"])
async def test_calls_of_tools_are_asked_for_and_compared_in_one_form(url: str, gateway: Gateway, share: float) -> None:
    gateway.calls = [
        {"name": "block", "arguments": '{"card": 7, "at": "now"}'},
        {"name": "inform", "arguments": "{}"},
    ]
    tools = [{"type": "function", "function": {"name": name}} for name in ("block", "inform")]
    label = '[{"arguments":{"at":"now","card":7},"name":"block"},{"arguments":{},"name":"inform"}]'
    row = LabelledRow("I lost it", label, [{"role": "user", "content": "I lost it"}], {"tools": tools})
    async with clients_of(url, streamed_share=share) as clients:
        (outcome,) = await clients.send([row], phase="before")
    assert (outcome.answer, outcome.correct, gateway.asked[0]["tools"]) == (label, True, tools)


async def test_a_wrong_answer_is_counted_as_wrong(url: str, gateway: Gateway) -> None:
    gateway.answer = "card arrival"
    async with clients_of(url) as clients:
        assert {o.correct for o in await clients.send(ROWS[:5], phase="before")} == {False}


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_version_that_is_not_the_engines_is_misattributed(url: str, gateway: Gateway, share: float) -> None:
    gateway.model = "support-2"
    async with clients_of(url, streamed_share=share) as clients:
        outcomes = await clients.send(ROWS[:4], phase="before")
    assert [outcome.misattributed for outcome in outcomes] == [True] * 4


async def test_failures_are_counted_and_stop_nobody(url: str) -> None:
    rows = [LabelledRow("fail", "x"), LabelledRow("garbage", "x"), LabelledRow("fine", "reset password")]
    async with clients_of(url, streamed_share=0.0) as clients:
        outcomes = await clients.send(rows, phase="before")
    assert [outcome.failed for outcome in outcomes] == [True, True, False]
    assert [outcome.status for outcome in outcomes] == [503, 200, 200]
    assert [outcome.correct for outcome in outcomes] == [None, None, True]
    assert "busy" in outcomes[0].error


async def test_a_broken_stream_is_a_failed_request(url: str) -> None:
    async with clients_of(url, streamed_share=1.0) as clients:
        (outcome,) = await clients.send([LabelledRow("break", "x")], phase="before")
    assert (outcome.failed, outcome.status) == (True, 200)
    assert "[DONE]" in outcome.error


async def test_a_gateway_that_is_not_there_is_a_failed_request() -> None:
    async with clients_of("http://127.0.0.1:9") as clients:
        (outcome,) = await clients.send(ROWS[:1], phase="before")
    assert (outcome.failed, outcome.status) == (True, 0)


async def test_a_share_of_the_rows_gets_its_label_always_the_same_rows(url: str, gateway: Gateway) -> None:
    async with clients_of(url) as clients:
        outcomes = await clients.send(ROWS, phase="before")
        assert await clients.drain()
        chosen = {o.request_id for o in outcomes if clients.labels("before", o.row_index)}
    assert {label["request_id"] for label in gateway.labels} == chosen
    assert {label["label"] for label in gateway.labels} == {"reset password"}
    assert 20 <= len(chosen) <= 40
    assert (clients.feedback.sent, clients.feedback.accepted, clients.feedback.failed) == (len(chosen), len(chosen), 0)


async def test_feedback_is_given_again_until_it_is_taken(url: str, gateway: Gateway) -> None:
    gateway.refusals = 2
    async with clients_of(url, feedback_share=1.0) as clients:
        await clients.send(ROWS[:2], phase="before")
        assert await clients.drain()
    assert len(gateway.labels) == clients.feedback.accepted == 2


async def test_no_more_requests_at_a_time_than_asked_for(url: str, gateway: Gateway) -> None:
    async with clients_of(url, concurrency=3) as clients:
        await clients.send(ROWS, phase="before")
    assert gateway.most == 3


@pytest.mark.slow
async def test_the_rate_is_kept_and_may_change_on_the_way(url: str) -> None:
    async with clients_of(url) as clients:
        started = time.monotonic()
        await clients.send(ROWS[:10], 50, phase="before")
        assert time.monotonic() - started > 0.15
        sending = asyncio.ensure_future(clients.send(ROWS[:10], 0, phase="before"))
        await asyncio.sleep(0.1)
        assert not sending.done()
        clients.rate = None
        assert len(await asyncio.wait_for(sending, 10)) == 10


async def test_the_rows_decide_how_many_are_sent_and_stop_ends_it(url: str) -> None:
    def rows() -> Iterator[LabelledRow]:
        while len(heard) < 20:
            yield ROWS[0]

    heard: list[RequestOutcome] = []
    async with clients_of(url, concurrency=2) as clients:
        assert 20 <= len(await clients.send(rows(), on_result=heard.append, phase="after")) <= 22
        answered = asyncio.Event()
        sending = asyncio.ensure_future(clients.send(ROWS * 100, on_result=lambda _: answered.set(), phase="after"))
        await answered.wait()
        clients.stop()
        assert 0 < len(await asyncio.wait_for(sending, 10)) < 6000
