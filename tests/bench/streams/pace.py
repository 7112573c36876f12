"""How soon the worker is done with what trickles in, how it takes labels, and how large its memory in the log is."""

from __future__ import annotations

import statistics
import time

from streams import codec
from streams.events import ScoreBatch
from streams.judge.memory import pack
from streams.log.read import read, span
from streams.topics import FEEDBACK, INFERENCE, SCORES
from tests.bench.streams.events import ALIASES, event
from tests.bench.streams.place import Place, until_drained
from tests.bench.tools.figures import Figure
from tests.streams.support.oracle import remembered
from tests.streams.support.traffic import feedback, produce

LABELS, QUICK = 10_000, 2_000
TRICKLE, PER_S = 100, 20


def labels(place: Place, quick: bool) -> list[Figure]:
    """A backlog of labels, and the replies that they are about."""
    count, first = QUICK if quick else LABELS, place.poured
    place.pour(count)
    with place.worker("labels") as (worker,):
        worker.start()
        until_drained([worker])
        began = time.monotonic()
        produce(place.kafka, FEEDBACK, [feedback(event(first + i), i % 10 != 0) for i in range(count)])
        done = until_drained([worker])
    return [Figure("labels through the judge, sending included", count / (done - began), "events/s", 1_500, "higher")]


def freshness(place: Place, _: bool) -> list[Figure]:
    """From a reply's record in Kafka to its scores' record, at 20 replies a second."""
    with place.worker("fresh") as (worker,):
        worker.start()
        until_drained([worker])
        places = set()
        for i in range(TRICKLE):
            places |= set(produce(place.kafka, INFERENCE, [event(place.poured + i)]))
            time.sleep(1.0 / PER_S)
        place.poured += TRICKLE
        until_drained([worker])
    p95 = statistics.quantiles(_delays_s(place, places), n=20)[-1]
    return [Figure("reply to score at 20/s, 95 %", p95, "s", 1.0, "lower")]


def _delays_s(place: Place, places: set[tuple[int, int]]) -> list[float]:
    first = {p: min(offset for at, offset in places if at == p) for p, _ in places}
    written = {
        (raw.partition, raw.offset): raw.timestamp_ms
        for partition, low in first.items()
        for raw in span(place.kafka, INFERENCE, partition, low)
    }
    return [
        (record.timestamp_ms - written[at]) / 1_000
        for record in read(place.kafka, SCORES, ScoreBatch)
        if record.event.source_topic == INFERENCE.name
        for offset in record.event.rows.offsets
        if (at := (record.event.partition, offset)) in places
    ]


def state(place: Place, _: bool) -> list[Figure]:
    """The judge's memory as it is written with each batch."""
    record = remembered(place.kafka, ALIASES[0])
    if record is None:
        raise LookupError(f"no state of {ALIASES[0]}, expected that replies were handled: measure with throughput")
    bare, _kept = pack(record)
    whole = len(codec.encode(record)) / 1_024
    size = len(codec.encode(bare)) / 1_024
    return [Figure("state record, its reference kept apart", size, "KiB", 256, "lower", "whole", whole)]
