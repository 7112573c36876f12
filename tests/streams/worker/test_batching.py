from __future__ import annotations

import asyncio

from streams.log.chunks import Chunk
from streams.log.read import Raw
from streams.worker.batching import Batcher

FOREVER_S = 3_600.0


def chunk(first: int, count: int) -> Chunk:
    records = [Raw(0, first + i, 0, None, b"") for i in range(count)]
    return Chunk("t", 0, first, first + count, records, count, 1)


async def test_a_full_batch_does_not_wait() -> None:
    batcher = Batcher(10, FOREVER_S)
    for first in range(0, 20, 4):
        batcher.put(chunk(first, 4))
    assert [each.first for each in await batcher.take()] == [0, 4, 8]


async def test_what_comes_meanwhile_joins_the_batch() -> None:
    batcher = Batcher(10, FOREVER_S)
    taking = asyncio.create_task(batcher.take())
    for first in (0, 4, 8):
        await asyncio.sleep(0)
        assert not taking.done()
        batcher.put(chunk(first, 4))
    assert [each.first for each in await taking] == [0, 4, 8]


async def test_a_batch_that_does_not_fill_is_taken_all_the_same() -> None:
    batcher = Batcher(10, 0.01)
    batcher.put(chunk(0, 3))
    assert [each.first for each in await batcher.take()] == [0]


async def test_a_chunk_larger_than_a_batch_is_one() -> None:
    batcher = Batcher(10, FOREVER_S)
    batcher.put(chunk(0, 50))
    batcher.put(chunk(50, 1))
    assert [each.first for each in await batcher.take()] == [0]
