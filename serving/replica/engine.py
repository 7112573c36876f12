"""vLLM's HTTP interface to its adapters: listing, loading, unloading, warming up, probing, proving."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from monitor.canonical import UNREADABLE
from serving.replica import effect, probe
from streams.engine_access import EngineAccess, EngineKey
from streams.proof import Proof

KEEP_ALIVE_S = 3.0  # vLLM closes idle connections after 5
ADMIN_TIMEOUT_S = 60.0
WARM_UP = (1, 2, 3)  # answers at once: each may be compiled for; torch takes the third to be any number
ALIVE_TIMEOUT_S = 5.0  # to list its models: no engine that serves is ever busy so long


class AdminRefused(RuntimeError):
    """The engine answered with another status or body than expected; the message shows it."""


class _ListedModel(msgspec.Struct, frozen=True):
    id: str
    root: str | None = None


class _ModelList(msgspec.Struct, frozen=True):
    data: list[_ListedModel]


def session(connect_timeout_s: float = 2.0) -> aiohttp.ClientSession:
    """Open connections for any number of engines, in a running loop; the caller closes them."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        auto_decompress=False,
    )


class VllmAdmin:
    """The adapters of one vLLM engine. Every method raises AdminRefused, aiohttp.ClientError or TimeoutError."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        timeout_s: float = ADMIN_TIMEOUT_S,
        access: EngineAccess | None = None,
    ) -> None:
        """`access`: how an engine that others run is reached. Raise NoEngineKey where its certificates cannot be
        used."""
        self._session, self._url = session, url
        self._key = EngineKey(access) if access is not None else None
        self._tls: ssl.SSLContext | bool = (access.tls() if access is not None else None) or True
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._alive = aiohttp.ClientTimeout(total=min(ALIVE_TIMEOUT_S, timeout_s))

    async def models(self) -> Mapping[str, str]:
        """Return every name that can be asked, with the folder its weights came from."""
        body = await self._ask("GET", "/v1/models", limit=self._alive)
        try:
            listed = msgspec.json.decode(body, type=_ModelList)
        except UNREADABLE as error:
            raise AdminRefused(f"{self._url}/v1/models: {error}: {body[:200]!r}") from error
        return {model.id: model.root or "" for model in listed.data}

    async def load(self, name: str, path: str) -> None:
        """Load an adapter; return once it answers under `name`."""
        await self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    async def unload(self, name: str) -> None:
        """Take an adapter out."""
        await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def warm(self, name: str) -> None:
        """Make a fresh engine compile now what it compiles for its first log-probabilities (22 s on one core, then
        again for several answers at once); else its first clients would wait."""
        for prompts in WARM_UP:
            await self._ask("POST", "/v1/completions", probe.warming(name, prompts))

    async def probe(self, name: str) -> probe.ProbeReading:
        """Return the fingerprint of what answers under `name`. Raise probe.NoFingerprint where it gives none."""
        return probe.read(await self._ask("POST", "/v1/completions", probe.request(name)), name)

    async def prove(self, name: str, proof: Proof) -> float:
        """Return how far the answers to the proof's questions under `name` are from those expected, in nats. Raise
        probe.NoFingerprint where there are none."""
        body = effect.request(name, proof, salt=secrets.token_hex(8))
        return effect.measured(await self._ask("POST", "/v1/completions", body), name, proof)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, limit: aiohttp.ClientTimeout | None = None
    ) -> bytes:
        within = limit or self._timeout
        headers = self._key.headers() if self._key is not None else {}
        asked = self._session.request(
            method, self._url + path, json=body, timeout=within, headers=headers, ssl=self._tls, allow_redirects=False
        )
        async with asked as reply:
            data = await reply.read()
            if reply.status != 200:
                raise AdminRefused(f"{method} {self._url}{path}: status {reply.status}, expected 200: {data[:300]!r}")
            return data
