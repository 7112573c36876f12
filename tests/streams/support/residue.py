"""What workers left behind, and by how much it differs from what others did."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from kafka import KafkaConsumer, TopicPartition
from whylogs.core import DatasetProfileView

from monitor.windows import Head
from streams.events import DeadLetter, Event, ScoreBatch
from streams.lake.lake import Lake
from streams.lake.profile_windows import PROFILES, ProfileWindow, window_start
from streams.log import dead_letters as dlq
from streams.log.dead_letters import letter_id
from streams.log.read import partition_counts, read
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore
from streams.topics import ALARMS, FEEDBACK, INFERENCE, LEDGER, REQUESTS, RESULTS, SCORES, TAKEN_IN, WINDOWS, Topic
from tests.streams.support import lakes, oracle
from tests.streams.support.lakes import Rows

K = TypeVar("K", bound=Hashable)
EFFECTS = {"alarms": ALARMS, "windows": WINDOWS, "requests": REQUESTS, "decisions": LEDGER}
WORKED_OFF = {INFERENCE: 0.0, FEEDBACK: 0.0, RESULTS: 0.0, SCORES: 30.0}  # in this order, and how long to wait for each
Seen = tuple[int, str]  # offset and id
Shape = tuple[int, float, float]  # events, least and largest value


@dataclass(frozen=True, slots=True)
class Residue:
    """Everything but the judge's effects. Rows are told by id, letters by their own id, profiles by folder."""

    rows: Rows
    replies: Counter[str]
    labels: Counter[str]
    sums: dict[str, float]
    profiles: dict[str, dict[str, Shape]]
    letters: dict[str, DeadLetter]
    judged: dict[str, list[Seen]]  # by alias, source and partition


def residue(kafka: KafkaSettings, storage: Storage) -> Residue:
    return Residue(
        rows=lakes.stored(Lake.of(storage)),
        replies=lakes.ids(Lake.of(storage), INFERENCE),
        labels=lakes.ids(Lake.of(storage), FEEDBACK),
        sums=sums(Lake.of(storage)),
        profiles=profiles(storage.objects()),
        letters=letters(kafka),
        judged=judged(each.event for each in read(kafka, SCORES, ScoreBatch)),
    )


def letters(kafka: KafkaSettings) -> dict[str, DeadLetter]:
    found = [each.event for topic in (INFERENCE, FEEDBACK) for each in dlq.letters(kafka, topic)]
    return {letter_id(each): each for each in found}


def differences(left: Mapping[K, object], right: Mapping[K, object]) -> int:
    """How many keys have not the same value in both.

    >>> differences({"a": 1, "b": 2}, {"b": 3, "c": 4})
    3
    """
    return sum(left.get(key) != right.get(key) for key in left.keys() | right.keys())


def sums(lake: Lake) -> dict[str, float]:
    """Of tokens and latencies; exact, whatever their order."""
    table = lakes.table(lake, INFERENCE)
    names = ("input_tokens", "output_tokens", "latency_ms")
    return {name: math.fsum(table[name].to_pylist()) for name in names if table is not None}


def profiles(store: ObjectStore, alias: str = "") -> dict[str, dict[str, Shape]]:
    """Each span's columns, merged by whylogs alone: every object of a span counts. `alias`: only its own."""
    merged: dict[str, DatasetProfileView] = {}
    for key in store.list(f"{PROFILES}/{alias}".rstrip("/")):
        if not key.endswith(".bin"):
            continue
        view, name = DatasetProfileView.deserialize(store.get(key).data), _span(key)
        merged[name] = merged[name].merge(view) if name in merged else view
    return {name: {column: _shape(view, column) for column in view.get_columns()} for name, view in merged.items()}


def _span(key: str) -> str:
    return key.removeprefix(f"{PROFILES}/").rpartition("/")[0]


def counted(found: Mapping[str, Mapping[str, Shape]]) -> dict[str, set[int]]:
    """How many events each span's columns have seen: one number, where all is well."""
    return {name: {shape[0] for shape in columns.values()} for name, columns in found.items()}


def spans(lake: Lake, window_s: int) -> Counter[str]:
    """How many rows of the lake belong to each span of the profiles."""
    found: Counter[str] = Counter()
    for part in lake.rows(INFERENCE, columns=("alias", "version", "time_ms")):
        for alias, version, time_ms in zip(*(part[name].to_pylist() for name in part.column_names), strict=True):
            found[ProfileWindow(alias, version, window_start(time_ms, window_s * 1_000)).place] += 1
    return found


def judged(scores: Iterable[ScoreBatch]) -> dict[str, list[Seen]]:
    """The rows that the judge takes, in its order: those above its watermark."""
    heads: dict[str, Head] = {}
    found: dict[str, list[Seen]] = {}
    for each in scores:
        name = f"{each.alias} {each.source_topic}/{each.partition}"
        fresh = each.rows.after(heads.get(name, Head()).next_offset)
        heads[name] = Head(max(heads.get(name, Head()).next_offset, each.last_offset + 1))
        found.setdefault(name, []).extend(zip(fresh.offsets, fresh.ids, strict=True))
    return found


def effects(kafka: KafkaSettings, alias: str) -> dict[str, dict[str, Event]]:
    """What the topics have of an alias, by kind and id; AssertionError where one id has two meanings."""
    return {kind: oracle.kept(kafka, topic, alias) for kind, topic in EFFECTS.items()}


def drained(kafka: KafkaSettings, group: str) -> bool:
    """Whether the group has acknowledged all there is: what is taken in first, then what was made of it. Workers never
    cease to tell how far they are: of the scores, all that were there at the beginning count."""
    return all(_done(kafka, group, topic, patience_s) for topic, patience_s in WORKED_OFF.items())


def taken_in(kafka: KafkaSettings, group: str) -> bool:
    """Whether the group has acknowledged all replies and labels."""
    return all(_done(kafka, group, topic, 0.0) for topic in TAKEN_IN)


def _done(kafka: KafkaSettings, group: str, topic: Topic, patience_s: float) -> bool:
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=group, enable_auto_commit=False)
    try:
        places = [TopicPartition(topic.name, p) for p in range(partition_counts(kafka, [topic])[topic.name])]
        ends = consumer.end_offsets(places)
        deadline = time.monotonic() + patience_s
        while not (done := all((consumer.committed(at) or 0) >= ends[at] for at in places)):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.5)
        return done
    finally:
        consumer.close()


def _shape(view: DatasetProfileView, column: str) -> Shape:
    found = view.get_column(column).to_summary_dict()
    return int(found["counts/n"]), float(found["distribution/min"]), float(found["distribution/max"])
