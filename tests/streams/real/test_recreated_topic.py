"""Topics that change under a real worker: deleted and created again, cut differently, shortened before it read them.
It says so by name; nothing is taken for what it is not."""

from __future__ import annotations

import re
import signal
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from deploy.config.settings import Config
from deploy.operator import topic_renewal as renewal
from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import StackSettings, cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams.lake.lake import Lake
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE, STATE
from streams.worker import checks
from tests.streams.support import lakes, oracle
from tests.streams.support.traffic import Plan, Process, produce, served, small, within
from tests.support.waiting import wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def broker() -> Iterator[KafkaSettings]:
    """Of this test's own: others need their topics."""
    with tempfile.TemporaryDirectory(prefix="homeostat-kafka-", ignore_cleanup_errors=True) as folder:
        embedded = EmbeddedKafka(Path(folder), ports.free(1)[0], cache_folder())
        embedded.start()
        try:
            create_topics(embedded.settings)
            yield embedded.settings
        finally:
            embedded.stop()


def make_anew(kafka: KafkaSettings) -> None:
    with closing(KafkaAdminClient(**kafka.client)) as admin:
        admin.delete_topics([INFERENCE.name])
        wait(lambda: INFERENCE.name not in admin.list_topics(), what="the topic to be gone")
    create_topics(kafka, [INFERENCE])


def metrics(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_topics_that_do_not_fit_are_refused_by_name_with_their_counts(broker: KafkaSettings) -> None:
    checks.check(broker)
    with closing(KafkaAdminClient(**broker.client)) as admin:
        admin.create_partitions({FEEDBACK.name: 6, STATE.name: 3})
        wait(lambda: _refused(broker) is not None, what="the partitions")
    assert re.fullmatch(
        r"inference\.events has 4 partitions, inference\.feedback has 6 partitions, expected as many.*; "
        r"monitor\.scores has 2 partitions, retrain\.results has 2 partitions, monitor\.state has 3 partitions, .*",
        _refused(broker) or "",
    )


def _refused(broker: KafkaSettings) -> str | None:
    try:
        checks.check(broker)
    except ValueError as error:
        return str(error)
    return None


def test_records_deleted_before_they_were_read_are_told_and_the_rest_is_taken(
    broker: KafkaSettings, tmp_path: Path
) -> None:
    """The log's retention is shorter than the worker was away."""
    alias, port = f"t-{uuid.uuid4().hex[:8]}", ports.free(1)[0]
    watched = MonitorSettings(reference_events=50)
    plan = Plan(broker, small("lagging"), within(tmp_path), watched, PolicySettings(), metrics_port=port)
    worker = Process(plan, tmp_path / "worker.log")
    try:
        worker.start()
        read = produce(broker, INFERENCE, [served(alias, i) for i in range(20)], partition=1)
        wait(lambda: oracle.caught_up(broker, alias, oracle.ends("inference", read)), what="the judge")
        worker.kill(signal.SIGTERM)
        produce(broker, INFERENCE, [served(alias, i) for i in range(20, 50)], partition=1)
        left = produce(broker, INFERENCE, [served(alias, i) for i in range(50, 60)], partition=1)
        with closing(KafkaAdminClient(**broker.client)) as admin:
            admin.delete_records({TopicPartition(INFERENCE.name, 1): 50})
        worker.start()
        wait(lambda: oracle.caught_up(broker, alias, oracle.ends("inference", left)), what="the judge")
        assert 'homeostat_events_deleted_unread_total{topic="inference.events"} 30.0' in metrics(port)
        (line,) = [line for line in (tmp_path / "worker.log").read_text().splitlines() if "deleted unread" in line]
        assert "records=30" in line
        wait(lambda: oracle.rows(plan.lake, INFERENCE, alias) == 30, what="the rows")
    finally:
        worker.kill()


@pytest.mark.parametrize("running", [False, True], ids=["while no worker runs", "under a running worker"])
def test_nothing_is_overwritten_or_dropped_without_a_word(broker: KafkaSettings, tmp_path: Path, running: bool) -> None:
    alias, port, said = f"t-{uuid.uuid4().hex[:8]}", ports.free(1)[0], tmp_path / "worker.log"
    var = tmp_path / "var"
    settings = small("made-anew")
    plan, there = (
        Plan(broker, settings, within(var), MonitorSettings(reference_events=50), PolicySettings(), metrics_port=port),
        Lake.of(within(var)),
    )
    worker = Process(plan, said)
    old, new = [served(alias, i) for i in range(60)], [served(alias, 100 + i) for i in range(80)]
    refused = 'homeostat_topic_made_anew{topic="inference.events"} 1.0'
    command = f"homeostat topics accept {INFERENCE.name}"
    config = Config(stack=StackSettings(var=var, embedded_kafka=False), kafka=broker, worker=settings)

    def begin() -> None:
        if worker.ended:
            worker.kill()
            worker.start()

    try:
        worker.start()
        places = oracle.ends("inference", produce(broker, INFERENCE, old))
        wait(lambda: oracle.caught_up(broker, alias, places), what="the judge")
        wait(lambda: len(lakes.stored(there)) == len(old), what="the rows")
        before = lakes.stored(there)
        if not running:
            worker.kill()
        make_anew(broker)
        places = oracle.ends("inference", produce(broker, INFERENCE, new))
        if not running:
            worker.start()
        wait(lambda: begin() or refused in metrics(port), what="the metric")  # type: ignore[func-returns-value]
        assert lakes.stored(there) == before
        assert any(command in line for line in said.read_text().splitlines())
        assert any(command in line for line in renewal.every(config))

        assert "rows of the topic before it stay" in renewal.accept(config, INFERENCE.name)
        wait(lambda: begin() or oracle.caught_up(broker, alias, places), what="the judge")  # type: ignore[func-returns-value]
        assert refused not in metrics(port)
        wait(lambda: len(lakes.stored(there)) == len(old) + len(new), what="the rows")
        assert sorted(there.read(INFERENCE)["id"].to_pylist()) == sorted(e.id for e in [*old, *new])
        assert before.items() <= lakes.stored(there).items()
        memory = oracle.remembered(broker, alias)
        assert memory is not None
        assert len(memory.topics[INFERENCE.name]) == 2
    finally:
        worker.kill()
