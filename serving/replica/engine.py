"""vLLM's HTTP interface to its adapters: which there are, loading, unloading, and what they make of the probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from serving.replica import probe

KEEP_ALIVE_S = 3.0  # vLLM closes idle connections after 5
ADMIN_TIMEOUT_S = 60.0
WARM_UP = (1, 2, 3)  # answers at once: each may be compiled for; torch takes the third to be any number
ALIVE_TIMEOUT_S = 5.0  # to say which models there are: no engine that serves is ever busy so long


class EngineRefused(RuntimeError):
    """The engine answered, but not with what was asked of it; the message has its words."""


class _Model(msgspec.Struct, frozen=True):
    id: str
    root: str | None = None


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model]


def session(connect_timeout_s: float = 2.0) -> aiohttp.ClientSession:
    """Connections for any number of engines; to be made in a running loop, and closed."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        auto_decompress=False,
    )


class Engine:
    """The adapters of one engine. Raises EngineRefused, aiohttp.ClientError or TimeoutError."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float = ADMIN_TIMEOUT_S) -> None:
        self._session, self._url = session, url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._alive = aiohttp.ClientTimeout(total=min(ALIVE_TIMEOUT_S, timeout_s))

    async def models(self) -> Mapping[str, str]:
        """Every name that can be asked, with the folder its weights came from."""
        body = await self._ask("GET", "/v1/models", limit=self._alive)
        try:
            listed = msgspec.json.decode(body, type=_Models)
        except msgspec.DecodeError as error:
            raise EngineRefused(f"{self._url}/v1/models: {error}: {body[:200]!r}") from error
        return {model.id: model.root or "" for model in listed.data}

    async def load(self, name: str, path: str) -> None:
        """Returns once the adapter answers under `name`."""
        await self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    async def unload(self, name: str) -> None:
        await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def warm(self, name: str) -> None:
        """What a fresh engine compiles for its first log-probabilities (22 s on one core, then again for several
        answers at once) it compiles now; else its first clients would wait."""
        for prompts in WARM_UP:
            await self._ask("POST", "/v1/completions", probe.warming(name, prompts))

    async def probe(self, name: str) -> probe.Measured:
        """The fingerprint of what answers under `name`; probe.NoFingerprint where it gives none."""
        return probe.read(await self._ask("POST", "/v1/completions", probe.request(name)), name)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, limit: aiohttp.ClientTimeout | None = None
    ) -> bytes:
        within = limit or self._timeout
        async with self._session.request(method, self._url + path, json=body, timeout=within) as reply:
            data = await reply.read()
            if reply.status != 200:
                raise EngineRefused(f"{method} {self._url}{path}: status {reply.status}, expected 200: {data[:300]!r}")
            return data
