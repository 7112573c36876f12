"""A gateway over a socket, in front of two fake engines; the test writes the routes and reads the events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai

from serving.gateway.access.audit import NO_AUDIT
from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.application import Gateway
from serving.gateway.http.asgi import ExchangeObserver
from serving.gateway.http.certificate import Certificate
from serving.gateway.http.listener import Listener
from serving.routes.routing import RouteTable
from serving.settings import GatewaySettings
from streams.events import Event, FeedbackGiven, InferenceServed, ReplicaAttested, RouteWritten
from streams.identity import RequestId, Signer, version_name
from streams.scoring.settings import ScoringSettings
from streams.topics import Topic
from tests.serving.support.fake_engine import FakeEngine
from tests.support.waiting import PATIENCE_S

OLD_DIGEST, NEW_DIGEST = "a" * 64, "b" * 64
OLD, NEW = version_name("support", OLD_DIGEST), version_name("support", NEW_DIGEST)
BODY: dict[str, Any] = {"model": "support", "messages": [{"role": "user", "content": "Where is my card?"}]}
SIGNER = Signer(b"a signing key")


class Scene:
    """`settings` may be changed before it runs."""

    def __init__(self) -> None:
        self.settings = GatewaySettings()
        self.scoring = ScoringSettings()
        self.engines = (FakeEngine(), FakeEngine())
        self.table = RouteTable()
        self.events: list[Event] = []
        self.port = 0  # chosen when it runs
        self.generation = 0
        self.keys = [Key.of("app", "secret"), Key.of("reader", "only-infer", ["infer"])]
        self.keys += [Key.of("team", "reviews", ["review"]), Key.of("crm", "follows", ["downstream"])]
        self.sources: dict[str, str] = {}  # as which the labels of each are declared
        self.full = False  # the journal
        self.on_event: Callable[[], object] = lambda: None  # just before it is kept
        self.stale: Callable[[], frozenset[str]] = frozenset  # replicas that no longer attest
        self.tls: Certificate | None = None
        self.signer = SIGNER
        self.ring: KeyRing | None = None  # another one than that of the keys
        self.audit = NO_AUDIT
        self.observer: Callable[[frozenset[str]], ExchangeObserver | None] = lambda paths: (
            None
        )  # of requests, by their paths

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Scene]:
        self.gateway = gateway = Gateway(
            self.settings,
            lambda: self.table,
            self.ring or KeyRing(self.keys),
            self.signer,
            self.publish,
            lambda: self.stale(),
            self.scoring,
            self.sources,
            audit=self.audit,
        )
        self.server = Listener(gateway, gateway.limits, self.settings.cors_origins, self.observer(gateway.paths))
        async with self.engines[0], self.engines[1], aiohttp.ClientSession() as self.http:
            self.route()
            for i in range(2):
                self.attest(i)
            await self.server.start("127.0.0.1", 0, self.tls)
            self.port = self.server.port
            try:
                yield self
            finally:
                await self.server.drain(1.0)
                await gateway.close()

    def publish(self, topic: Topic, event: Event, id: str, time_ms: int) -> bool:
        self.on_event()
        if not self.full:
            self.events.append(event)
        return not self.full

    def route(self, champion: str = OLD, **changes: Any) -> None:
        self.generation += 1
        written = RouteWritten(
            alias="support",
            generation=self.generation,
            champion=champion,
            adapters={OLD: OLD_DIGEST, NEW: NEW_DIGEST},
            time_ms=1_000,
            by="test",
            **changes,
        )
        self.table = self.table.with_route(written)

    def attest(
        self, i: int, versions: dict[str, str] | None = None, *, healthy: bool = True, url: str | None = None
    ) -> None:
        """`url`: where another engine than the scene's own listens."""
        self.table = self.table.with_attestation(
            ReplicaAttested(
                replica=f"engine-{i}",
                url=self.engines[i].url if url is None else url,
                time_ms=0,
                healthy=healthy,
                base_model="base",
                versions={OLD: OLD_DIGEST, NEW: NEW_DIGEST} if versions is None else versions,
                generations={},
            )
        )

    def mode(self, mode: str) -> None:
        for engine in self.engines:
            engine.mode = mode

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def post(
        self, path: str = "/v1/chat/completions", body: Any = BODY, key: str = "secret", **more: Any
    ) -> Reply:
        headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.post(self.url(path), headers=headers, **content, **more) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def served(self, count: int = 1) -> list[InferenceServed]:
        """The events of so many requests; they come just after the replies."""
        return [e for e in await self._until(InferenceServed, count) if isinstance(e, InferenceServed)]

    async def feedback(self, count: int = 1) -> list[FeedbackGiven]:
        return [e for e in await self._until(FeedbackGiven, count) if isinstance(e, FeedbackGiven)]

    async def _until(self, kind: type[Event], count: int) -> list[Event]:
        deadline = time.monotonic() + PATIENCE_S
        while len(found := [e for e in self.events if isinstance(e, kind)]) < count and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)  # one too many would come now
        assert len([e for e in self.events if isinstance(e, kind)]) == count
        return found

    @property
    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url("/v1"), api_key="secret", max_retries=0)


class Reply:
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status, self.headers, self.data = status, headers, data

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.data))

    @property
    def error(self) -> dict[str, Any]:
        error = self.body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return dict(error)

    @property
    def request_id(self) -> RequestId:
        return SIGNER.read(self.headers["x-homeostat-request-id"])
