"""The one place for an adapter that an evaluation takes up in an engine: candidate and champion take turns in it, so
that clients' adapters keep theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from retrain.evaluation.evaluate import loaded
from streams.engine_access import EngineAccess


@dataclass(slots=True)
class EngineSlot:
    """A place in an engine. `allowed` raises where the evaluation has lost its right to it."""

    session: aiohttp.ClientSession
    engine: str
    adapters: Mapping[str, Path]  # version -> folder
    evaluation: str | None = None
    stale_s: float = 21_600.0
    allowed: Callable[[], None] = lambda: None
    version: str = ""  # in it now
    _name: str = ""
    _open: AbstractAsyncContextManager[list[str]] | None = field(default=None)

    async def holding(self, version: str) -> str:
        """Put the version into the place, and return its name in the engine."""
        self.allowed()
        if self.version != version:
            await self.free()
            chosen = {version: self.adapters[version]}
            held = loaded(self.session, self.engine, chosen, evaluation=self.evaluation, stale_s=self.stale_s)
            (self._name,) = await held.__aenter__()
            self._open, self.version = held, version
        return self._name

    async def free(self) -> None:
        """Unload what is in the place."""
        held, self._open, self.version = self._open, None, ""
        if held is not None:
            await held.__aexit__(None, None, None)


def session_to(access: EngineAccess | None, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """Open a session with the key and the certificates of an engine that others run; None: without any. Raise
    NoEngineKey where they cannot be used."""
    if access is None:
        return aiohttp.ClientSession(timeout=timeout)
    connector = aiohttp.TCPConnector(ssl=access.tls() or True)
    return aiohttp.ClientSession(timeout=timeout, headers=access.headers(), connector=connector)


@asynccontextmanager
async def reserved(slot: EngineSlot) -> AsyncIterator[EngineSlot]:
    """Free the slot at the end, whatever comes."""
    try:
        yield slot
    finally:
        await slot.free()
