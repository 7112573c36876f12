"""vLLM as the gateway knows it, with a switch for everything that can go wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

WORDS = ["Card", " arrival", "."]
FINGERPRINT = "fake-0.1"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class FakeEngine:
    """Answers `Card arrival.` under the name it was asked by; keeps the bodies it got."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.cancelled = 0
        self.hurry = asyncio.Event()  # ends what is slow
        self.strays: list[str] = []  # paths that no client should ever reach
        self.script: list[list[dict[str, Any]]] = []  # instead: each chunk's choices; of a whole answer, its first
        self.output: list[dict[str, Any]] = []  # instead: what a response puts out
        self.mode = ""  # "", "lost", "error", "bad request", "no json", "slow", "break", "stall"
        self._server: TestServer | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/completions", self._completion),
                web.post("/v1/responses", self._response),
                web.route("*", "/{path:.*}", self._stray),
            ]
        )
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            await self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return str(self._server.make_url("")).rstrip("/")

    async def _stray(self, request: web.Request) -> web.StreamResponse:
        self.strays.append(request.raw_path)
        return web.json_response({"detail": "Not Found"}, status=404)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, chat=True)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, chat=False)

    async def _response(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        if not body.get("stream"):
            return web.json_response(response(body, self.output))
        reply = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await reply.prepare(request)
        for kind, fields in response_events(body, self.output):
            await reply.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())
        return reply

    async def _answer(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        try:
            if self.mode == "slow":
                await asyncio.wait_for(self.hurry.wait(), 30)
            if refusal := self._refusal(body):
                return refusal
            if body.get("stream"):
                return await self._stream(request, body, chat)
            return web.json_response(whole(body, chat) | ({"choices": self.script[0]} if self.script else {}))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        if self.mode == "lost":
            error = {"message": f"The model `{body['model']}` does not exist.", "type": "NotFoundError", "code": 404}
            return web.json_response({"error": error}, status=404)
        if self.mode == "error":
            return web.json_response({"error": {"message": "engine dead", "type": "InternalServerError"}}, status=500)
        if self.mode == "bad request":
            return web.json_response(
                {"error": {"message": "max_tokens is too large", "param": "max_tokens"}}, status=400
            )
        if self.mode == "no json":
            return web.Response(text="<html>", content_type="text/html")
        return None

    async def _stream(self, request: web.Request, body: dict[str, Any], chat: bool) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await reply.prepare(request)
        for i, each in enumerate(scripted(body, self.script) or chunks(body, chat)):
            if i == 2 and self.mode == "break":
                assert request.transport is not None
                request.transport.close()
                return reply
            if i == 2 and self.mode == "stall":
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.hurry.wait(), 30)
            await reply.write(f"data: {json.dumps(each)}\n\n".encode())
        await reply.write(b"data: [DONE]\n\n")
        return reply


def whole(body: dict[str, Any], chat: bool) -> dict[str, Any]:
    text = "".join(WORDS)
    choices = []
    for index in range(int(body.get("n") or 1)):
        shape: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choices.append({"index": index, **shape, "logprobs": logprobs(body, WORDS, chat), "finish_reason": "stop"})
    kind = "chat.completion" if chat else "text_completion"
    return {"id": "x-1", "object": kind, "created": 1, "model": body["model"], "choices": choices, "usage": USAGE}


def scripted(body: dict[str, Any], script: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    base = {"id": "x-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    return [{**base, "choices": choices} for choices in script]


def response(body: dict[str, Any], given: list[dict[str, Any]]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": "".join(WORDS), "annotations": []}]
    output: list[dict[str, Any]] = [{"type": "reasoning", "content": [{"type": "text", "text": "Hm."}]}]
    output.append({"type": "message", "role": "assistant", "content": content})
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        "output": given or output,
        "parallel_tool_calls": True,
        "status": "completed",
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


def response_events(body: dict[str, Any], output: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    begun = {**response(body, output), "output": [], "usage": None, "status": "in_progress"}
    events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
    where = {"item_id": "m", "output_index": 1, "content_index": 0, "logprobs": []}
    texts = [] if output else WORDS
    events += [("response.output_item.added", {"item": item, "output_index": i}) for i, item in enumerate(output)]
    events += [("response.output_text.delta", {"delta": piece, **where}) for piece in texts]
    events.append(("response.completed", {"response": response(body, output)}))
    return [(kind, {**each, "sequence_number": i}) for i, (kind, each) in enumerate(events)]


def chunks(body: dict[str, Any], chat: bool) -> list[dict[str, Any]]:
    kind = "chat.completion.chunk" if chat else "text_completion"
    base = {"id": "x-1", "object": kind, "created": 1, "model": body["model"]}
    made = []
    for piece in ["", *WORDS]:
        shape: dict[str, Any] = {"delta": {"content": piece}} if chat else {"text": piece}
        scores = logprobs(body, [piece], chat) if piece else None
        made.append({**base, "choices": [{"index": 0, **shape, "logprobs": scores, "finish_reason": None}]})
    last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    named = {"system_fingerprint": FINGERPRINT}  # in the very last chunk only, as vLLM does
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    closing = {"index": 0, **last, "logprobs": None, "finish_reason": "stop"}
    made.append({**base, "choices": [closing], **({} if usage else named)})
    if usage:
        made.append({**base, "choices": [], "usage": USAGE, **named})
    return made


def logprobs(body: dict[str, Any], texts: list[str], chat: bool) -> dict[str, Any] | None:
    asked = body.get("logprobs")
    if chat:
        return (
            {"content": [{"token": piece, "logprob": -0.5, "top_logprobs": []} for piece in texts]} if asked else None
        )
    return None if asked is None else {"tokens": texts, "token_logprobs": [-0.5] * len(texts)}
