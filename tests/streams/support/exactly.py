"""A small life of an alias, and what must be left of it, whatever happened to the workers."""

from __future__ import annotations

from pathlib import Path

from streams.events import AlarmRaised, FeedbackGiven, InferenceServed
from streams.kinds import AlarmKind
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, FEEDBACK, INFERENCE, LEDGER, REQUESTS, WINDOWS
from tests.streams.support import lakes, oracle
from tests.streams.support.profile_counts import profiled
from tests.streams.support.traffic import Plan, feedback, served

HEALTHY, HARMED = 1_600, 800


def life(alias: str) -> tuple[list[InferenceServed], list[FeedbackGiven]]:
    """Replies and their labels: right nine times in ten, at last one time in ten. All of them may come within one turn
    of the log's time, where they are judged in the order of their hashes: they must be harm then as well."""
    replies = [served(alias, i) for i in range(HEALTHY + HARMED)]
    right = [(i % 10 != 0) == (i < HEALTHY) for i in range(len(replies))]
    return replies, [feedback(reply, ok) for reply, ok in zip(replies, right, strict=True)]


def judged_exactly(kafka: KafkaSettings, plan: Plan, alias: str, labels: int) -> None:
    """Effects and memory are those of judging the log once, undisturbed."""
    rules = oracle.rules(plan)
    memory, effects = oracle.judged(kafka, rules, alias)
    assert oracle.kept(kafka, ALARMS, alias) == effects["alarms"]
    assert oracle.kept(kafka, WINDOWS, alias) == effects["windows"]
    assert oracle.kept(kafka, REQUESTS, alias) == effects["requests"]
    assert oracle.kept(kafka, LEDGER, alias) == effects["decisions"]
    assert oracle.remembered(kafka, alias) == memory
    closed = sum(window.labelled for window in effects["windows"].values())  # type: ignore[attr-defined]
    still_open = sum(count.labelled for mine in memory.judge.windows.counts.values() for count in mine.values())
    assert closed + still_open + memory.judge.windows.late >= labels
    alarms = [alarm for alarm in effects["alarms"].values() if isinstance(alarm, AlarmRaised)]
    assert [alarm.kind for alarm in alarms].count(AlarmKind.QUALITY) == 1
    assert len(effects["requests"]) == 1


def profiled_exactly(plan: Plan, alias: str, events: int) -> None:
    assert profiled(plan.storage.objects(), alias) == events


def left_exactly(kafka: KafkaSettings, plan: Plan, alias: str, replies: int, labels: int, calm: Path) -> None:
    """Rows, effects, memory and profiles; `calm` is an empty folder."""
    assert oracle.rows(plan.lake, INFERENCE, alias) == replies
    assert oracle.rows(plan.lake, FEEDBACK, alias) == labels
    assert lakes.stored(plan.lake) == oracle.calm_rows(kafka, plan.settings, calm)
    judged_exactly(kafka, plan, alias, labels)
    memory, effects = oracle.judged(kafka, oracle.rules(plan), alias)
    assert oracle.uncounted(kafka, memory, effects["windows"].values()) == 0
    profiled_exactly(plan, alias, replies)
