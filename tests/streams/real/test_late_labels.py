"""Labels that no gateway could judge, against real Kafka and workers that are killed."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from monitor.settings import MonitorSettings, PolicySettings
from streams.events import FeedbackGiven, InferenceServed
from streams.log.fitness.role import check_role
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support import lakes, oracle
from tests.streams.support.dying_worker import DEATHS
from tests.streams.support.exactly import judged_exactly, life
from tests.streams.support.traffic import Plan, Process, produce, small, within
from tests.support.waiting import wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def alias() -> str:
    return f"late-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def plan(kafka: KafkaSettings, alias: str, tmp_path: Path) -> Plan:
    monitor = MonitorSettings(reference_events=400, window_s=20)
    return Plan(
        kafka, small(alias), within(tmp_path), monitor, PolicySettings(min_fresh_labels=60), {alias: "token_f1"}
    )


def unjudged(alias: str) -> tuple[list[InferenceServed], list[FeedbackGiven], dict[str, bool]]:
    """A life whose labels say what was right, in words; and whether each reply was."""
    replies, labels = life(alias)
    right = {label.event_id: label.loss == 0.0 for label in labels}
    texts = [reply.output if right[reply.id] else "something else" for reply in replies]
    return replies, [replace(each, label=text, loss=None) for each, text in zip(labels, texts, strict=True)], right


def judged(plan: Plan) -> Counter[tuple[str, bool]]:
    """What the lake says of each reply, and how often."""
    rows = lakes.table(plan.lake, FEEDBACK)
    if rows is None:
        return Counter()
    columns = zip(*(rows[name].to_pylist() for name in ("alias", "event_id", "loss")), strict=True)
    pairs = [(id, loss) for alias, id, loss in columns if alias == plan.settings.app_id]
    return Counter((id, loss == 0.0) for id, loss in pairs if loss is not None)


def test_a_stream_of_labels_is_judged_once_by_workers_that_are_killed(
    kafka: KafkaSettings, plan: Plan, alias: str, tmp_path: Path
) -> None:
    """The first workers die between joining and sending; the next are killed at any time. Every tenth label is in the
    log long before its reply, and no worker that judges saw the first replies."""
    replies, labels, right = unjudged(alias)
    half = len(replies) // 2
    sent = produce(kafka, INFERENCE, replies[:half])
    saw = Process(plan, tmp_path / "saw.log")
    saw.start()
    wait(lambda: oracle.rows(plan.lake, INFERENCE, alias) == half, what="the first replies")
    saw.kill(signal.SIGTERM)
    dying = Process(plan, tmp_path / "dying.log", "tests.streams.support.dying_worker")
    produce(kafka, FEEDBACK, [*labels[:half], *labels[half::10]])
    for death in range(DEATHS):
        dying.start()
        wait(lambda: dying.ended, what=f"death {death + 1}")
        dying.kill()
    assert judged(plan) == {}
    worker = Process(plan, tmp_path / "worker.log")
    try:
        for part in range(3):
            worker.start()
            wait(lambda part=part: len(judged(plan)) > part * half // 4, what=f"part {part}")  # type: ignore[misc]
            worker.kill(signal.SIGKILL)
        sent += produce(kafka, INFERENCE, replies[half:])
        produce(kafka, FEEDBACK, [each for i, each in enumerate(labels[half:]) if i % 10])
        worker.start()
        wait(lambda: len(judged(plan)) == len(labels), what="all labels")
        assert judged(plan) == Counter(right.items()), "each once, and as it is"
        told = [
            (each.partition, each.offset) for each in read(kafka, FEEDBACK, FeedbackGiven) if each.event.alias == alias
        ]
        reached = oracle.ends("inference", sent) | oracle.ends("feedback", told)
        wait(lambda: oracle.caught_up(kafka, alias, reached), what="the judge")
    finally:
        worker.kill(signal.SIGTERM)
    judged_exactly(kafka, plan, alias, labels=len(labels))
    assert lakes.stored(plan.lake) == oracle.calm_rows(kafka, plan.settings, tmp_path / "calm")


def test_a_topic_that_forgets_before_labels_have_waited_is_refused(kafka: KafkaSettings) -> None:
    """Both settings are named; the broker keeps what the table of topics says."""
    check_role(kafka, "worker", 604_800)
    with pytest.raises(
        ValueError, match=r"inference\.events has retention\.ms = 777600000 and labels\.wait_s is 604801"
    ):
        check_role(kafka, "worker", 604_801)
