"""Replies of 1 KB as rows, made by the thousand: the texts of a few thousand, shuffled, under ids of their own."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from streams.events import InferenceServed
from streams.lake.table import rows
from streams.lake.writer import PartitionRows
from streams.messages import Message
from tests.streams.support.traffic import START_MS, served

WORDS = [f"word{i}" for i in range(2_000)]
TEXTS, PARTITIONS, DAY_MS = 10_000, 4, 86_400_000
BEGIN_MS = START_MS - START_MS % DAY_MS  # a day's first moment


class Traffic:
    """Replies `every_ms` after one another, to aliases drawn at random."""

    def __init__(self, aliases: int, every_ms: float, seed: int = 0) -> None:
        draw = random.Random(seed)
        self._rng, self._every_ms, self._aliases = np.random.default_rng(seed), every_ms, aliases
        self._texts = rows(InferenceServed, 0, range(TEXTS), [_reply(draw, i) for i in range(TEXTS)], "an-id")
        self._next = [0] * PARTITIONS
        self._made = 0

    def take(self, count: int) -> list[PartitionRows]:
        """The next replies, as the writer takes them: those of each partition together."""
        numbers = np.arange(self._made, self._made + count)
        self._made += count
        table = self._texts.take(pa.array(self._rng.integers(0, TEXTS, count)))
        times = (BEGIN_MS + numbers * self._every_ms).astype(np.int64)
        names = [f"alias-{i:04d}" for i in self._rng.integers(0, self._aliases, count)]
        days = [datetime.fromtimestamp(each / 1_000, UTC).date() for each in times.tolist()]
        table = _with(table, "id", [_id(each, at) for each, at in zip(times.tolist(), numbers.tolist(), strict=True)])
        table = _with(_with(_with(table, "time_ms", times), "alias", names), "log_day", days)
        return [self._part(table.filter(pa.array(numbers % PARTITIONS == p)), p) for p in range(PARTITIONS)]

    def _part(self, table: pa.Table, partition: int) -> PartitionRows:
        first, end = self._next[partition], self._next[partition] + table.num_rows
        self._next[partition] = end
        table = _with(_with(table, "partition", [partition] * table.num_rows), "offset", range(first, end))
        return PartitionRows("an-id", partition, end, table)


def _reply(draw: random.Random, number: int) -> InferenceServed:
    question, answer = " ".join(draw.choices(WORDS, k=80)), " ".join(draw.choices(WORDS, k=40))
    return replace(served("support", number), input_messages=[Message("user", question)], output=answer)


def _with(table: pa.Table, name: str, values: object) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))


def _id(time_ms: int, number: int) -> str:
    """A UUIDv7, as the gateway makes them."""
    spread = (int(number) * 0x9E3779B97F4A7C15) & ((1 << 62) - 1)
    return str(uuid.UUID(int=(time_ms << 80) | (7 << 76) | ((spread & 0xFFF) << 64) | (2 << 62) | spread))
