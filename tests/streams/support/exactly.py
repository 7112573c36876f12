"""A small life of an alias, and what must be left of it, whatever happened to the workers."""

from __future__ import annotations

from pathlib import Path

from streams.events import AlarmRaised, FeedbackGiven, InferenceServed
from streams.kinds import AlarmKind
from streams.lake.profiles import load
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, FEEDBACK, INFERENCE, LEDGER, REQUESTS, WINDOWS
from tests.streams.support import oracle
from tests.streams.support.profile_counts import count
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
    rules = oracle.rules(plan.settings, plan.monitor, plan.policy)
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
    folders = (plan.settings.profiles / alias / f"version={alias}-0123456789ab").iterdir()
    profiles = [profile for folder in folders if (profile := load(folder))]
    assert sum(count(profile, "prompt_chars") for profile in profiles) == events


def left_exactly(kafka: KafkaSettings, plan: Plan, alias: str, replies: int, labels: int, calm: Path) -> None:
    """Rows, files, effects, memory and profiles; `calm` is an empty folder."""
    assert oracle.rows(plan.settings.lake, INFERENCE, alias) == replies
    assert oracle.rows(plan.settings.lake, FEEDBACK, alias) == labels
    assert oracle.files(plan.settings.lake) == oracle.lake_files(kafka, plan.settings, calm)
    judged_exactly(kafka, plan, alias, labels)
    memory, effects = oracle.judged(kafka, oracle.rules(plan.settings, plan.monitor, plan.policy), alias)
    assert oracle.uncounted(kafka, memory, effects["windows"].values()) == 0
    profiled_exactly(plan, alias, replies)
