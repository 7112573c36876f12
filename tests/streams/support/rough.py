"""A stream as it is at its worst: duplicates near and far, events minutes late and out of order, and poison."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kafka import KafkaProducer
from msgspec import to_builtins
from msgspec.structs import replace

from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import FeedbackGiven, InferenceServed
from streams.journal.partitioner import ByKey
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE, Topic
from tests.streams.support.traffic import feedback, served

ALIASES = ("support", "search", "billing")
LABELS = 1 / 3  # of the replies are labelled
DUPLICATES, LATE, POISON = 0.05, 0.05, 0.01
NEAR, FAR = 200, 60_000  # places further on; within `recent_offsets` of a partition, for there are four of them
BEHIND = (600, 1_500)  # places further on: two to five minutes
PIECES = 50  # in which a stream is sent that is to last
BAD = (
    b"{",
    b"\xff\xfe",
    b"[1, 2]",
    b'{"alias": "support"}',
    {"latency_ms": "fast", "loss": "perhaps"},
    {"alias": "No Such Alias"},
    {"id": ""},
    {"time_ms": 253_402_300_799_000},  # the year 9999
    {"schema_version": 99},
    {"input_tokens": 10**30, "score": "x"},
)


@dataclass(frozen=True, slots=True)
class Item:
    """One record to be sent."""

    topic: Topic
    key: str
    value: bytes


@dataclass(slots=True)
class Stream:
    """Records in the order in which they are sent, and what is to be left of them."""

    items: list[Item]
    replies: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    duplicates: int = 0
    late: int = 0
    poison: int = 0


def rough(events: int, seed: int) -> Stream:
    """`events` replies and labels of three aliases: one is harmed half-way, one drifts, one fails for a while."""
    rng = random.Random(seed)
    found, placed = Stream([]), list[tuple[float, int, Item]]()
    count = round(events / (1 + LABELS))
    for number in range(count):
        for at, item in _reply(rng, found, number, count):
            placed.append((at, len(placed), item))
    placed.sort()
    found.items = [item for _, _, item in placed]
    return found


def settings(events: int) -> tuple[MonitorSettings, PolicySettings]:
    """Such that a stream of that size has a healthy time to learn from."""
    return MonitorSettings(reference_events=min(2_000, max(200, events // 25))), PolicySettings(min_fresh_labels=40)


def send(kafka: KafkaSettings, items: Sequence[Item], lasts_s: float = 0.0) -> None:
    """Returns once all of them are in the log, which takes at least so long."""
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap, acks="all", linger_ms=20, enable_idempotence=True, partitioner=ByKey()
    )
    sent = []
    for first in range(0, len(items), size := max(1, -(-len(items) // PIECES))):
        sent += [
            producer.send(each.topic.name, key=each.key.encode(), value=each.value) for each in items[first:][:size]
        ]
        time.sleep(lasts_s / PIECES)
    producer.flush()
    producer.close()
    assert all(each.succeeded() for each in sent)


def _reply(rng: random.Random, found: Stream, number: int, count: int) -> Iterator[tuple[float, Item]]:
    event = _world(number, number / count)
    found.replies.add(event.id)
    at = number + _delay(rng, found)
    yield from _sent(rng, found, at, INFERENCE, event, count)
    if rng.random() < LABELS:
        label = feedback(event, _right(rng, event, number / count))
        found.labels.add(label.id)
        yield from _sent(rng, found, at + rng.uniform(5, 300) + _delay(rng, found), FEEDBACK, label, count)


def _world(number: int, share: float) -> InferenceServed:
    alias = ALIASES[number % len(ALIASES)]
    event = served(alias, number)
    if alias == "search" and share > 0.6:
        return served(
            alias, number, text=f"Kindly be so good as to tell me, at your leisure: {event.output}, ÀÉÎ 4711?"
        )
    if alias == "billing" and 0.7 < share < 0.8 and number % 4 == 0:
        return replace(event, status=503, output="")
    return event


def _right(rng: random.Random, event: InferenceServed, share: float) -> bool:
    return rng.random() < (0.4 if event.alias == "support" and share > 0.5 else 0.9)


def _delay(rng: random.Random, found: Stream) -> float:
    """How many places further on a late event is sent; its time stays what it was."""
    if rng.random() >= LATE:
        return 0.0
    found.late += 1
    return rng.uniform(*BEHIND)


def _sent(
    rng: random.Random, found: Stream, at: float, topic: Topic, event: InferenceServed | FeedbackGiven, count: int
) -> Iterator[tuple[float, Item]]:
    item = Item(topic, str(getattr(event, topic.key)), codec.encode(event))
    yield at, item
    if rng.random() < DUPLICATES:
        found.duplicates += 1
        near = rng.random() < 0.8
        yield at + (rng.uniform(0, NEAR) if near else rng.uniform(NEAR, max(NEAR, min(FAR, count / 2)))), item
    if rng.random() < POISON:
        found.poison += 1
        yield at + 0.5, Item(topic, f"poison-{rng.random()}", _bad(rng, event))


def _bad(rng: random.Random, event: InferenceServed | FeedbackGiven) -> bytes:
    """Bytes that nobody can read, or an event that nobody should believe."""
    chosen = rng.choice(BAD)
    if isinstance(chosen, bytes):
        return chosen
    fields = {**to_builtins(event), "id": f"bad-{rng.random()}"} | chosen
    return json.dumps(fields).encode()
