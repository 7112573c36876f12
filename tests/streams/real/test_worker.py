"""The worker against real Kafka, in a process of its own that is killed without warning."""

from __future__ import annotations

import os
import re
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from deploy.stack import ports
from monitor.settings import MonitorSettings, PolicySettings
from streams.events import AlarmRaised, ScoreBatch
from streams.log import dead_letters as dlq
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.reports.keys import page_key
from streams.reports.reporter import missing
from streams.topics import ALARMS, FEEDBACK, INFERENCE, SCORES
from tests.streams.support import lakes, oracle
from tests.streams.support.exactly import judged_exactly, life, profiled_exactly
from tests.streams.support.profile_counts import profiled
from tests.streams.support.traffic import Plan, Process, feedback, produce, served, small, within
from tests.support.s3 import S3
from tests.support.waiting import wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MONITOR = MonitorSettings(reference_events=400, window_s=20)
POLICY = PolicySettings(min_fresh_labels=60)


@pytest.fixture
def alias() -> str:
    return f"t-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def plan(kafka: KafkaSettings, alias: str, tmp_path: Path) -> Plan:
    return Plan(kafka, small(alias), within(tmp_path), MONITOR, POLICY)


@pytest.fixture
def worker(plan: Plan, tmp_path: Path) -> Iterator[Process]:
    process = Process(plan, tmp_path / "worker.log")
    yield process
    process.kill()


def test_events_become_rows_scores_and_letters(kafka: KafkaSettings, worker: Process, plan: Plan, alias: str) -> None:
    replies = [served(alias, i) for i in range(500)]
    labels = [feedback(reply, True) for reply in replies[:200]]
    poison = [b"{", b"\xff", f'{{"alias": "{alias}"}}'.encode()]
    places = produce(kafka, INFERENCE, [*replies[:100], *replies[:40], *replies[100:]])
    bad = produce(kafka, INFERENCE, poison, partition=1)
    told = produce(kafka, FEEDBACK, [*labels, *labels[:30]])[: len(labels)]
    worse = produce(kafka, FEEDBACK, poison, partition=2)
    last = produce(kafka, INFERENCE, [served(alias, 500)], partition=1)
    worker.start()
    ends = oracle.ends("inference", [*places, *last]) | oracle.ends("feedback", told)
    wait(lambda: oracle.caught_up(kafka, alias, ends), what="the judge")
    table = plan.lake.read(INFERENCE, alias=alias)
    assert table["id"].to_pylist() == [served(alias, i).id for i in range(501)]
    assert oracle.rows(plan.lake, FEEDBACK, alias) == 200
    rows = [
        r for record in read(kafka, SCORES, ScoreBatch) if record.event.alias == alias for r in record.event.rows.ids
    ]
    assert sorted(rows) == sorted([*(e.id for e in replies), served(alias, 500).id, *(e.event_id for e in labels)])
    lost = {(r.event.partition, r.event.offset) for r in dlq.letters(kafka, INFERENCE)}
    assert set(bad) <= lost
    lost = {(r.event.partition, r.event.offset) for r in dlq.letters(kafka, FEEDBACK)}
    assert set(worse) <= lost


def test_killed_again_and_again_nothing_is_lost_or_doubled(
    kafka: KafkaSettings, worker: Process, plan: Plan, alias: str, tmp_path: Path
) -> None:
    replies, labels = life(alias)
    lake, parts = plan.lake, 4
    size = len(replies) // parts
    sent: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []
    for part in range(parts):
        cut = slice(part * size, (part + 1) * size)
        sent += produce(kafka, INFERENCE, [*replies[cut], *replies[cut][::9]])[:size]  # a batch of nothing but
        told += produce(kafka, FEEDBACK, [*labels[cut], *labels[cut][::7]])[:size]  # duplicates makes no scores
        worker.start()
        if part < parts - 1:
            enough = part * size + size // (part + 2)
            wait(lambda enough=enough: oracle.rows(lake, INFERENCE, alias) >= enough, what=f"part {part}")  # type: ignore[misc]
            worker.kill(signal.SIGKILL)
    ends = oracle.ends("inference", sent) | oracle.ends("feedback", told)
    wait(lambda: oracle.caught_up(kafka, alias, ends), what="the judge")
    alarms = [alarm for alarm in oracle.kept(kafka, ALARMS, alias).values() if isinstance(alarm, AlarmRaised)]
    assert alarms
    wait(lambda: not missing(alarms, plan.storage.objects()), what="the alarms' reports")
    assert all(alarm.report is None or Path(alarm.report).exists() for alarm in alarms)
    worker.kill(signal.SIGTERM)

    assert oracle.rows(lake, INFERENCE, alias) == len(replies)
    assert oracle.rows(lake, FEEDBACK, alias) == len(labels)
    assert lakes.stored(lake) == oracle.calm_rows(kafka, plan.settings, tmp_path / "calm")
    judged_exactly(kafka, plan, alias, labels=len(labels))
    profiled_exactly(plan, alias, len(replies))


def test_on_a_bucket_a_killed_worker_leaves_all_there_and_nothing_in_a_folder(
    kafka: KafkaSettings, s3: S3, plan: Plan, alias: str, tmp_path: Path
) -> None:
    plan = msgspec.structs.replace(plan, storage=Storage(s3.storage(alias), tmp_path / "var"))
    store = plan.storage.objects()
    worker, (replies, labels) = Process(plan, tmp_path / "worker.log"), life(alias)
    worker.start()
    try:
        half = len(replies) // 2
        sent = produce(kafka, INFERENCE, replies[:half])
        told = produce(kafka, FEEDBACK, labels[:half])
        wait(lambda: profiled(store, alias) > 0, what="the first profiles")
        worker.kill(signal.SIGKILL)
        worker.start()
        sent += produce(kafka, INFERENCE, replies[half:])
        told += produce(kafka, FEEDBACK, labels[half:])
        ends = oracle.ends("inference", sent) | oracle.ends("feedback", told)
        wait(lambda: oracle.caught_up(kafka, alias, ends), what="the judge")
        alarms = [each for each in oracle.kept(kafka, ALARMS, alias).values() if isinstance(each, AlarmRaised)]
        assert alarms
        wait(lambda: not missing(alarms, store), what="the alarms' reports")
        wait(lambda: profiled(store, alias) == len(replies), what="all profiles")
    finally:
        worker.kill(signal.SIGTERM)
    assert {each.report for each in alarms if each.report} <= {
        f"{plan.storage.settings.url}/{page_key(each.id)}" for each in alarms
    }
    judged_exactly(kafka, plan, alias, labels=len(labels))
    profiled_exactly(plan, alias, len(replies))
    assert "lake/topics.json" in set(store.list("lake"))
    assert not [path for path in (tmp_path / "var").rglob("*") if path.is_file() and "faust" not in path.parts]


def test_workers_that_come_and_go_share_the_work(
    kafka: KafkaSettings, worker: Process, plan: Plan, alias: str, tmp_path: Path
) -> None:
    replies, labels = life(alias)
    other, lake, size = Process(plan, tmp_path / "other.log"), plan.lake, 60
    sent: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []
    try:
        worker.start()
        other.start()
        for first in range(0, len(replies), size):
            cut = slice(first, first + size)
            sent, told = (
                [*sent, *produce(kafka, INFERENCE, replies[cut])],
                [*told, *produce(kafka, FEEDBACK, labels[cut])],
            )
            time.sleep(0.3)
            if first > len(replies) // 2 and worker.alive:
                wait(lambda: worked(tmp_path / "other.log"), what="the workers to share the work")
                worker.kill(signal.SIGKILL)
        assert not worker.alive, "the workers never shared the work"
        ends = oracle.ends("inference", sent) | oracle.ends("feedback", told)
        wait(lambda: oracle.caught_up(kafka, alias, ends), what="the judge")
    finally:
        other.kill(signal.SIGTERM)
    assert lakes.stored(lake) == oracle.calm_rows(kafka, plan.settings, tmp_path / "calm")
    judged_exactly(kafka, plan, alias, labels=len(labels))


def worked(log: Path) -> bool:
    return "partition opened" in log.read_text()


def test_a_worker_that_hangs_says_so(kafka: KafkaSettings, plan: Plan, alias: str, tmp_path: Path) -> None:
    """Its disk answers no more: the next versions of the lake's table are taken, and where it looks for the newest one
    is a pipe that nobody writes to."""
    port = ports.free(1)[0]
    changed = replace(plan.settings, lag_every_s=0.2, stalled_s=2.0, lake_commit_rows=5)
    process = Process(msgspec.structs.replace(plan, settings=changed, metrics_port=port), tmp_path / "worker.log")
    process.start()
    try:
        produce(kafka, INFERENCE, [served(alias, i) for i in range(10)], partition=1)
        wait(lambda: oracle.rows(plan.lake, INFERENCE, alias) == 10, what="rows")
        _hang(Path(plan.lake.url) / "replies" / "_delta_log")
        for number in range(1, 4):
            produce(kafka, INFERENCE, [served(alias, 10 * number + i) for i in range(10)], partition=1)
            time.sleep(1.0)
        # all partitions of the agent wait with it: other tests' events may be in them
        stalled = re.compile(r'homeostat_consumer_stalled_partitions{topic="inference.events"} [1-4]\.0')
        wait(lambda: stalled.search(_metrics(port)) is not None, what="the metric")
        said = [line for line in (tmp_path / "worker.log").read_text().splitlines() if "stalled" in line]
        assert any("partition=1 topic=inference.events" in line for line in said)
    finally:
        process.kill()


def _hang(log: Path) -> None:
    first = len(list(log.glob("*.json")))
    os.mkfifo(log / "_last_checkpoint")
    for version in range(first, first + 50):
        os.mkfifo(log / f"{version:020d}.json")


def _metrics(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_labels_that_wait_keep_no_reply_from_being_handled(
    kafka: KafkaSettings, plan: Plan, alias: str, tmp_path: Path
) -> None:
    """4,000 labels are in the log before their replies, far more than are held at once. Each batch of labels waits a
    while for replies; were replies held up by labels that wait for them, these would take a quarter of an hour."""
    changed = replace(plan.settings, batch_events=50)
    worker = Process(msgspec.structs.replace(plan, settings=changed), tmp_path / "worker.log")
    replies = [served(alias, i) for i in range(4_000)]
    produce(kafka, FEEDBACK, [feedback(reply, True) for reply in replies])
    produce(kafka, INFERENCE, replies)
    worker.start()
    try:
        lake = plan.lake
        wait(lambda: oracle.rows(lake, INFERENCE, alias) == 4_000, what="all replies")
        wait(lambda: oracle.rows(lake, FEEDBACK, alias) == 4_000, what="all labels")
    finally:
        worker.kill()
