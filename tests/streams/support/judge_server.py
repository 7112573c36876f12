"""A judge model behind a real HTTP server, with a switch for everything that can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Judged = Callable[[dict[str, Any]], Any]


class JudgeServer:
    """Answers `content`, with each status of `statuses` once before that; keeps the requests that it got."""

    def __init__(self, content: str | Judged = '{"score": 0.75}') -> None:
        self.content = content
        self.statuses: list[int] = []
        self.retry_after = ""
        self.body: str | None = None  # instead of a chat completion
        self.unstructured = False  # refuses `response_format`
        self.slow = asyncio.Event()
        self.hangs = False
        self.waiting = self.most_waiting = 0
        self.usage: dict[str, int] | None = {"total_tokens": 100}
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = ""

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][0]["content"] for body in self.bodies]

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization", ""))
        if self.hangs:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            await self.slow.wait()
            self.waiting -= 1
        if self.statuses:
            heads = {"retry-after": self.retry_after} if self.retry_after else {}
            return web.json_response({"error": {"message": "not now"}}, status=self.statuses.pop(0), headers=heads)
        if self.unstructured and "response_format" in body:
            return web.json_response({"error": {"message": "response_format is not known"}}, status=400)
        if self.body is not None:
            return web.Response(text=self.body)
        content = self.content if isinstance(self.content, str) else self.content(body)
        found: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": content}}]}
        return web.json_response(found | ({"usage": self.usage} if self.usage else {}))

    async def models(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("authorization", ""))
        return web.json_response({"data": [{"id": "judge"}]})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[JudgeServer]:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self.chat), web.get("/v1/models", self.models)])
        async with TestServer(app) as server:
            self.url = str(server.make_url("/v1"))
            try:
                yield self
            finally:
                self.slow.set()
