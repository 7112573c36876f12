"""Side-cars: keys that stay the same, attestations, and servers that answer as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.gateway.http.listener import Listener
from serving.replica.reconciler import Reconciler
from serving.routes.statement import public_text, sign
from serving.settings import Replica
from serving.sidecar.proxy import SideCar
from serving.sidecar.service import engine_pool, limits
from serving.sidecar.settings import ListedReplica, SideCarSettings
from serving.sidecar.signing import Attestations
from streams import codec
from streams.events import ReplicaAttested
from tests.serving.support.adapter_files import BASE
from tests.serving.support.fake_engine import FakeEngine
from tests.serving.support.replica import ReplicaScene
from tests.support.folder import in_folder
from tests.support.waiting import until

KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([each] * 32)) for each in (1, 2))
DIGEST = "a" * 64
VERSION = f"support-{DIGEST[:12]}"


def entry(url: str, signs: Ed25519PrivateKey = KEY, **files: Path) -> ListedReplica:
    return ListedReplica(url=url, public_key=public_text(signs), **files)


def plain(name: str = "r1", url: str = "http://r1", **changes: Any) -> ReplicaAttested:
    """An attestation without a signature."""
    usual: dict[str, Any] = {"healthy": True, "base_model": BASE, "versions": {VERSION: DIGEST}, "generations": {}}
    return ReplicaAttested(replica=name, url=url, **{"time_ms": 1, "sequence": 7, **usual, **changes})


def signed(name: str = "r1", url: str = "http://r1", key: Ed25519PrivateKey = KEY, **changes: Any) -> ReplicaAttested:
    return sign(plain(name, url, **changes), key)


class ScriptedSideCar:
    """A server at a side-car's address; `answer` makes what it says of the nonce, and what is no attestation goes out
    as it is. Everything else that it is asked is counted."""

    def __init__(self, name: str = "r1") -> None:
        self.name, self.url, self.asked, self.nonces = name, "", 0, list[str]()
        self.answer: Callable[[str], ReplicaAttested | web.Response] = self.honest

    def honest(self, nonce: str) -> ReplicaAttested:
        return signed(self.name, self.url, nonce=nonce)

    async def _attestation(self, request: web.Request) -> web.StreamResponse:
        self.nonces.append(request.query["nonce"])
        answer = self.answer(self.nonces[-1])
        return web.Response(body=codec.encode(answer)) if isinstance(answer, ReplicaAttested) else answer

    async def _other(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.Response(status=500)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ScriptedSideCar]:
        app = web.Application()
        app.add_routes([web.get("/attestation", self._attestation), web.route("*", "/{path:.*}", self._other)])
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self


class SideCarScene(ReplicaScene):
    """A side-car over a socket: a fake engine behind it, a fake log over it, and adapters in a folder."""

    def __init__(self, root: Path, name: str = "r1") -> None:
        super().__init__(root)
        self.behind, self.name = FakeEngine(), name
        self.engine_url = ""  # another engine's behind it
        self.key_file: Path | None = None  # of the engine
        self.stop = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[SideCarScene]:
        async with self.behind:
            engine = self.engine_url or self.behind.url
            settings = SideCarSettings(engine=engine, engine_key_file=self.key_file, body_limit_bytes=100_000)
            self.pool = engine_pool(settings)
            self.signed = Attestations(Replica(self.name, ""), BASE, KEY)
            trees = in_folder(self.root)
            table, seal = (lambda: self.routing), (lambda each: self.signed.seal(each))
            self.ours = Reconciler(
                self.settings, self.signed.replica, self.engine, table, self.append, trees, BASE, "", seal
            )
            self.application = SideCar(settings.engine, self.pool, self.ours, self.signed, 30.0)
            self.server = Listener(self.application, limits(settings))
            await self.server.start("127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{self.server.port}"
            self.ours.attester.replica = self.signed.replica = Replica(self.name, self.url)
            async with self.running():
                await until(lambda: self.ours.attester.latest is not None, "a first look at the engine")
                try:
                    yield self
                finally:
                    await self.server.drain(1.0)
                    self.pool.close()

    async def served(self, *texts: str) -> dict[str, str]:
        """Adapters of these texts, the first of them the champion; returns once they are attested."""
        adapters = dict(self.adapter(text) for text in texts)
        self.route(1, adapters, next(iter(adapters)), previous=[*adapters, None][1])
        await until(lambda: adapters.keys() <= self.ours.answering, "all are attested")
        return adapters


def altered(attestation: ReplicaAttested, **changes: Any) -> ReplicaAttested:
    """With other fields under the old signature."""
    return msgspec.structs.replace(attestation, **changes)
