"""Three brokers with copies of each partition, one of which is killed while events come: nothing is lost or doubled."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from kafka import KafkaAdminClient

from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams.events import FeedbackGiven, ScoreBatch
from streams.journal.partitioner import murmur2
from streams.journal.shipper import Shipper
from streams.journal.writer import Journal
from streams.log.fitness.found import FoundTopic, topics_found
from streams.log.fitness.role import check_role
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE, SCORES, TOPICS, Topic
from tests.streams.support.journaled import journal, numbers, publish, running
from tests.streams.support.traffic import Plan, Process, produce, served, small, within
from tests.support.brokers import three_brokers
from tests.support.waiting import wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

REPLIES, COUNT, PART = 300, 3_000, 20


def test_one_of_three_brokers_is_killed_under_load(tmp_path: Path) -> None:
    with three_brokers(tmp_path / "brokers", cache_folder()) as (kafka, brokers):
        create_topics(kafka)
        found = topics_found(kafka, [topic.name for topic in TOPICS], ["min.insync.replicas"])
        shapes = {(t.replication, *t.config.values()) for t in found.values() if isinstance(t, FoundTopic)}
        assert shapes == {(3, "2")}
        check_role(kafka, "worker", 604_800, "three")
        plan = Plan(kafka, small("three"), within(tmp_path / "var"), MonitorSettings(), PolicySettings())
        worker, spool = Process(plan, tmp_path / "worker.log"), journal(tmp_path / "spool")
        shipper = Shipper(kafka, tmp_path / "spool", "test")
        worker.start()
        try:
            with running(shipper):
                produce(kafka, INFERENCE, [served("three", i) for i in range(REPLIES)])
                publish(spool, numbers(PART))
                wait(lambda: plan.lake.table(FEEDBACK) is not None, what="the first labels", most_s=180)
                leads = brokers[leader(kafka) - 1]
                gives = Thread(target=give, args=(spool, given := [PART]))
                gives.start()
                wait(lambda: given[0] >= COUNT // 3, what="a third of the labels")
                leads.kill()
                assert gives.is_alive(), "labels come before and after"
                gives.join()
                wait(shipper.drained, what="the shipper", most_s=240)
                wait(lambda: len(stored(plan)) >= COUNT, what="the labels in the lake", most_s=240)
                wait(lambda: len(stored(plan, INFERENCE)) >= REPLIES, what="the replies in the lake")
        finally:
            spool.close()
            worker.kill()
        sent = Counter(each.event.id for each in read(kafka, FEEDBACK, FeedbackGiven))
        assert sent == Counter(numbers(COUNT)), "once each in the log"
        assert Counter(stored(plan)) == Counter(numbers(COUNT)), "once each in the lake"
        assert Counter(stored(plan, INFERENCE)) == Counter(served("three", i).id for i in range(REPLIES))
        scored = Counter(id for each in read(kafka, SCORES, ScoreBatch) for id in each.event.rows.ids)
        assert {f"three-{i:08d}" for i in range(REPLIES)} <= set(scored)


def leader(kafka: KafkaSettings) -> int:
    """The broker that takes the labels: all have one key."""
    name = kafka.physical(FEEDBACK.name)
    with closing(KafkaAdminClient(**kafka.client)) as admin:
        (found,) = admin.describe_topics([name])
    mine = (murmur2(b"one-key") & 0x7FFFFFFF) % len(found["partitions"])
    return int(next(each["leader_id"] for each in found["partitions"] if each["partition_index"] == mine))


def give(spool: Journal, given: list[int]) -> None:
    """All labels, in ten seconds; `given`: how many so far."""
    while given[0] < COUNT:
        publish(spool, numbers(PART, given[0]))
        given[0] += PART
        time.sleep(10 * PART / COUNT)


def stored(plan: Plan, topic: Topic = FEEDBACK) -> list[str]:
    """The ids in the lake, row by row."""
    return [id for part in plan.lake.rows(topic, columns=("id",)) for id in part["id"].to_pylist()]
