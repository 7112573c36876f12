"""Recorded lives of an alias: events, the lake they leave, and what the real pipeline made of them at the time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from deploy.backtest.policies import Policy, PolicySections
from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import (
    DecisionRecorded,
    FeedbackGiven,
    InferenceServed,
    RetrainReported,
    RetrainRequested,
    ScoreBatch,
)
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, IngestSource, prepare
from streams.judge.memory import JudgeRecord, start
from streams.judge.step import JudgeInput, LogPosition, Rules, step
from streams.kinds import RetrainStatus
from streams.lake.lake import Lake
from streams.log.read import Raw
from streams.topics import RESULTS, SCORES
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import feedback, served

ALIAS = "support"
SECTIONS = PolicySections(
    MonitorSettings(reference_events=200, window_s=20),
    PolicySettings(min_fresh_labels=50, cool_down_s=10, label_growth=1.2),
)
PRESENT = Policy("present settings", SECTIONS)
HEALTHY, WORSE = 500, 300
BLOCK = 250


@dataclass(frozen=True, slots=True)
class Life:
    """Replies and the labels on them, each in the order in which the log took them."""

    replies: list[InferenceServed]
    labels: list[FeedbackGiven]

    @property
    def change_ms(self) -> int:
        """When it begins to be worse."""
        return self.replies[HEALTHY].time_ms


def life(kind: str, seed: int = 0, share: float = 0.5) -> Life:
    """Healthy, then `harm` (wrong answers), `drift` (other messages), `doubt` (the model is unsure), `failure`
    (errors) or `nothing`. Wrong answers are given with less confidence."""
    rng = random.Random(seed)
    replies, labels = [], []
    for i in range(HEALTHY + WORSE):
        worse = i >= HEALTHY
        right = rng.random() < (0.5 if worse and kind in ("harm", "doubt") else 0.95)
        reply = _reply(i, kind if worse else "", right, rng)
        replies.append(reply)
        if rng.random() < share and not (worse and kind == "doubt"):
            labels.append(feedback(reply, right))
    return Life(replies, labels)


def _reply(number: int, kind: str, right: bool, rng: random.Random) -> InferenceServed:
    text = f"{'PLEASE ' * 20} this is all in capitals {number}" if kind == "drift" else None
    confidence = (-0.1 if right else -2.0) - 0.05 * rng.random()
    made = served(ALIAS, number, text=text)
    status = 503 if kind == "failure" and number % 2 else 200
    return replace(made, logprob_mean=confidence, logprob_min=2 * confidence, status=status)


def plain(settings: Any) -> dict[str, object]:
    """The settings that are single values, as a file has them."""
    return {key: value for key, value in asdict(settings).items() if isinstance(value, int | float | str)}


def store(root: Path, lived: Life, partitions: int = 1) -> Lake:
    """The lake that a worker would have written."""
    for source, events in _topics(lived):
        for partition in range(partitions):
            mine = events[partition::partitions]
            put(root, source.topic, mine, partition, together=BLOCK)
    return at(root)


def _topics(lived: Life) -> list[tuple[IngestSource[Any], Sequence[Any]]]:
    return [(SERVED, lived.replies), (GIVEN, lived.labels)]


def live(
    lived: Life,
    sections: PolicySections = SECTIONS,
    partitions: int = 1,
    batch_ms: int = 500,
    rejected_after_ms: int | None = None,
) -> list[DecisionRecorded]:
    """The ledger of the pipeline as it runs: batches of each partition by turns, replies before labels. Retrainings
    are rejected so long after they were asked for, or nothing is heard of them."""
    worker = _Worker(Rules(sections.monitor, sections.policy, "r", "p", 3_600_000))
    began_ms = lived.replies[0].time_ms
    parts: list[tuple[IngestSource[Any], RecentIds, dict[int, list[Raw]]]] = [
        (source, RecentIds(1_000), _batches(events[partition::partitions], partition, began_ms, batch_ms))
        for source, events in _topics(lived)
        for partition in range(partitions)
    ]
    last_ms = max(lived.replies[-1].time_ms, *(label.time_ms for label in lived.labels))
    for first_ms in range(began_ms, last_ms + 1, batch_ms):
        for source, recent, batches in parts:
            if raws := batches.get(first_ms):
                for record in prepare(source, recent, raws).built.scores:
                    worker.hear(codec.decode(ScoreBatch, record.value), first_ms + batch_ms)
        if rejected_after_ms is not None:
            worker.reject(first_ms + batch_ms, rejected_after_ms)
    return worker.ledger


def _batches(events: Sequence[Any], partition: int, began_ms: int, batch_ms: int) -> dict[int, list[Raw]]:
    """A partition's records by the moment at which their batch begins."""
    found: dict[int, list[Raw]] = {}
    for i, each in enumerate(events):
        first_ms = each.time_ms - (each.time_ms - began_ms) % batch_ms
        found.setdefault(first_ms, []).append(Raw(partition, i, each.time_ms, b"", codec.encode(each)))
    return found


@dataclass(slots=True)
class _Worker:
    rules: Rules
    memory: JudgeRecord = field(default_factory=lambda: start(ALIAS))
    ledger: list[DecisionRecorded] = field(default_factory=list)
    asked: list[RetrainRequested] = field(default_factory=list)
    heard: int = 0

    def hear(self, heard: JudgeInput, time_ms: int) -> None:
        topic = SCORES if isinstance(heard, ScoreBatch) else RESULTS
        self.memory, effects = step(self.rules, self.memory, heard, LogPosition(topic.name, 0, self.heard, time_ms))
        self.ledger += effects.decisions
        self.asked += effects.requests
        self.heard += 1

    def reject(self, now_ms: int, after_ms: int) -> None:
        for each in [each for each in self.asked if each.time_ms + after_ms <= now_ms]:
            self.asked.remove(each)
            result = RetrainReported(
                request_id=each.id, alias=ALIAS, status=RetrainStatus.REJECT, time_ms=now_ms, by="trainer"
            )
            self.hear(result, now_ms)
