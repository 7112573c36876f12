"""Replies of about 1 KB as the shipper sends them: with keys and CloudEvents headers, in compressed batches."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import islice
from pathlib import Path

import aiokafka.codec
from aiokafka import AIOKafkaProducer
from aiokafka.record import default_records
from msgspec.structs import replace

from streams import codec
from streams.events import InferenceServed
from streams.log.settings import KafkaSettings
from streams.messages import Message
from streams.topics import INFERENCE
from tests.streams.support.traffic import served

ALIASES = ("alpha", "beta", "epsilon", "zeta")  # two in each partition of the scores: an alias is judged in one place
BATCH_BYTES = 900_000  # as the shipper's
CLIENTS = 997
QUESTIONS = 5_000
SOURCE = "gateway/bench"

Item = tuple[bytes, bytes, codec.Headers]  # key, value, headers


@cache
def _questions() -> list[str]:
    """What people may have written, from words that people wrote; a table's figures are none."""
    words = [word for word in Path("README.md").read_text().split() if any(map(str.isalpha, word))]
    rng = random.Random(0)
    return [" ".join(rng.choices(words, k=75)) for _ in range(QUESTIONS)]


@cache
def _templates() -> list[InferenceServed]:
    return [
        replace(
            served(ALIASES[i % len(ALIASES)], i),
            input_messages=[Message("system", "Name the intent."), Message("user", question)],
        )
        for i, question in enumerate(_questions())
    ]


def event(number: int) -> InferenceServed:
    """The reply of that number: the same number is the same event, of one of four aliases."""
    template = _templates()[zlib.crc32(number.to_bytes(8)) % QUESTIONS]  # a fixed step would be no random sample
    return replace(
        template,
        id=f"{template.alias}-{number:09d}",
        time_ms=1_750_000_000_000 + 10 * number,
        client=f"client-{number * 31 % CLIENTS}",
        latency_ms=40.0 + number % 97 / 10,
    )


def pour(kafka: KafkaSettings, numbers: Iterable[int]) -> None:
    """Sends those replies, spread evenly over the partitions; returns once they are confirmed."""
    default_records.gzip_encode = partial(aiokafka.codec.gzip_encode, compresslevel=1)
    asyncio.run(_pour(kafka, map(_item, numbers)))


def _item(number: int) -> Item:
    made = event(number)
    headers = codec.headers(made, id=made.id, time_ms=made.time_ms, source=SOURCE)
    return made.id.encode(), codec.encode(made), headers


async def _pour(kafka: KafkaSettings, items: Iterator[Item]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, acks="all", compression_type="gzip", max_batch_size=BATCH_BYTES
    )
    await producer.start()
    try:
        partition, sent = 0, []
        while some := list(islice(items, 600)):
            batch = producer.create_batch()
            now_ms = round(time.time() * 1_000)  # by their own time, the broker would delete them for their age
            for key, value, headers in some:
                assert batch.append(key=key, value=value, timestamp=now_ms, headers=headers) is not None
            sent.append(await producer.send_batch(batch, INFERENCE.name, partition=partition % INFERENCE.partitions))
            partition += 1
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
