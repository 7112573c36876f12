"""What evaluation asks of vLLM, as a fake: adapters come and go, and the good one knows the answers."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler


class Engine:
    """Keeps what vLLM promises of adapters; its tokens are words. Answers `a` under a folder whose name has `good` in
    it or that is not the champion's, and else the question."""

    def __init__(self, champion: str = "") -> None:
        self.names = {"base": "/base"}
        self.calls: list[str] = []
        self.status = 200
        self.champion = champion
        self.refused: set[str] = set()  # questions that get a 400
        self.spoken: dict[str, str] = {}  # question -> answer of every adapter, instead
        self.better: dict[str, str] = {}  # likewise, of the good one alone
        self.broken_off: dict[str, str] = {}  # question -> why its answer ends
        self.hangs_up: Counter[str] = Counter()  # question -> how many times its connection is closed
        self.context = 0
        self.most_held = 0  # adapters at once
        self.asked: list[dict[str, Any]] = []
        self.key = ""  # that a request must show; empty: any may ask
        self.calling: list[dict[str, Any]] = []  # tools that every adapter calls, instead of words

    async def models(self, _: web.Request) -> web.Response:
        more = {"max_model_len": self.context} if self.context else {}
        return web.json_response({"data": [{"id": name, **more} for name in self.names]})

    async def load(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.names[body["lora_name"]] = body["lora_path"]
        self.most_held = max(self.most_held, len(self.names) - 1)
        self.calls.append(f"load {body['lora_name']}")
        return web.Response(text="ok")

    async def unload(self, request: web.Request) -> web.Response:
        body = await request.json()
        del self.names[body["lora_name"]]
        self.calls.append(f"unload {body['lora_name']}")
        return web.Response(text="ok")

    async def chat(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        assert body["temperature"] == 0
        self.asked.append(body)
        raw = "prompt" in body
        messages = [{"content": body["prompt"]}] if raw else body["messages"]
        question = messages[-1]["content"]
        if self.hangs_up[question] > 0 and request.transport:
            self.hangs_up[question] -= 1
            request.transport.close()
        if question in self.refused:
            return web.json_response({"error": {"message": "Conversation roles must alternate"}}, status=400)
        path = self.names[body["model"]]
        good = path.endswith("good") or (self.champion and not path.endswith(self.champion))
        spoken = self.spoken | self.better if good else self.spoken
        words = spoken.get(question, "a" if good else messages[0]["content"]).split(" ")
        finish = "length" if len(words) > body["max_tokens"] else "stop"
        answer = " ".join(words[: body["max_tokens"]])
        message = {"content": None, "tool_calls": self.calling} if self.calling else {"content": answer}
        choice: dict[str, Any] = {"text": answer} if raw else {"message": message}
        choice |= {"finish_reason": self.broken_off.get(question, finish)}
        return web.json_response({"choices": [choice]}, status=self.status)

    @web.middleware
    async def _admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    @asynccontextmanager
    async def serving(self, keep_idle_s: float = 75.0) -> AsyncIterator[str]:
        """Its address, while entered. A connection that is idle for so long is closed."""
        app = web.Application(middlewares=[self._admitted])
        app.add_routes(
            [
                web.get("/v1/models", self.models),
                web.post("/v1/load_lora_adapter", self.load),
                web.post("/v1/unload_lora_adapter", self.unload),
                web.post("/v1/chat/completions", self.chat),
                web.post("/v1/completions", self.chat),
            ]
        )
        server = TestServer(app)
        await server.start_server(keepalive_timeout=keep_idle_s)
        async with server:
            yield str(server.make_url("")).rstrip("/")

    @contextmanager
    def apart(self, keep_idle_s: float) -> Iterator[str]:
        """As `serving`, in a thread of its own: an engine goes on while its client does something else."""
        asked, done = queue.Queue[str](), threading.Event()

        async def serve() -> None:
            async with self.serving(keep_idle_s) as url:
                asked.put(url)
                await asyncio.to_thread(done.wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        try:
            yield asked.get(timeout=30)
        finally:
            done.set()
            thread.join()
