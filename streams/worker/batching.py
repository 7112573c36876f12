"""Chunks gathered into batches: the more wait, the more are handled at once."""

from __future__ import annotations

import asyncio
from collections import deque

from streams.log.chunks import Chunk


class Batcher:
    """Holds chunks until their size is `size`, or `within_s` have passed since the first."""

    def __init__(self, size: int, within_s: float) -> None:
        self._size, self._within_s = size, within_s
        self._chunks: deque[Chunk] = deque()
        self._came = asyncio.Event()

    def put(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self._chunks.append(chunk)
        self._came.set()

    async def take(self) -> list[Chunk]:
        """Return the next batch: at least one chunk, and none after the one with which it is full."""
        while not self._chunks:
            await self._more(None)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._within_s
        while self._held() < self._size and (left_s := deadline - loop.time()) > 0:
            await self._more(left_s)
        return self._cut()

    async def _more(self, within_s: float | None) -> None:
        """Until something comes, or the time is over."""
        self._came.clear()
        waiting = asyncio.ensure_future(self._came.wait())
        try:
            await asyncio.wait({waiting}, timeout=within_s)
        finally:
            waiting.cancel()

    def _held(self) -> int:
        return sum(chunk.size for chunk in self._chunks)

    def _cut(self) -> list[Chunk]:
        batch = [self._chunks.popleft()]
        while self._chunks and sum(chunk.size for chunk in batch) < self._size:
            batch.append(self._chunks.popleft())
        return batch
