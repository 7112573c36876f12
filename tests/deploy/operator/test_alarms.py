"""`homeostat alarms` against a real broker and a worker that is killed: what operators say is taken once, and in the
ledger."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.toml import dump
from deploy.operator import alarms
from monitor.operator_answer import OperatorAnswer
from monitor.settings import MonitorSettings, PolicySettings
from streams.events import AlarmAnswered, AlarmCleared, AlarmRaised, DecisionRecorded
from streams.kinds import DecisionKind
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, FEEDBACK, INFERENCE, LEDGER, SCORES
from tests.streams.support import oracle
from tests.streams.support.traffic import Plan, Process, feedback, produce, served, small, within
from tests.support.waiting import wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MONITOR = MonitorSettings(reference_events=200, window_s=20)
POLICY = PolicySettings(min_fresh_labels=50)
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def alias() -> str:
    return f"alarmed-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def worker(kafka: KafkaSettings, alias: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A worker that has judged an alias whose answers became worse."""
    var = tmp_path_factory.mktemp("alarmed")
    process = Process(Plan(kafka, small(alias), within(var), MONITOR, POLICY), var / "worker.log")
    process.start()
    try:
        serve(kafka, alias, 0, 600, harmed_from=400)
        yield process
    finally:
        process.kill()


def serve(kafka: KafkaSettings, alias: str, first: int, end: int, harmed_from: int) -> None:
    """Replies and their labels, in one partition, until they are judged."""
    replies = [served(alias, i) for i in range(first, end)]
    labels = [feedback(each, i % 2 == 0 if i >= harmed_from else i % 10 != 0) for i, each in enumerate(replies, first)]
    sent, told = produce(kafka, INFERENCE, replies, 0), produce(kafka, FEEDBACK, labels, 0)
    ends = oracle.ends("inference", sent) | oracle.ends("feedback", told)
    wait(lambda: oracle.caught_up(kafka, alias, ends), what="the judge")


@pytest.fixture
def run(kafka: KafkaSettings, tmp_path: Path) -> Run:
    config = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path), "embedded_kafka": False}
    config.write_text(dump({"stack": stack, "kafka": {"bootstrap": kafka.bootstrap}}))
    return lambda *words: CliRunner().invoke(main, [*words, "--config", str(config)])


def entries(kafka: KafkaSettings, alias: str) -> list[DecisionRecorded]:
    found = [each for each in oracle.kept(kafka, LEDGER, alias).values() if isinstance(each, DecisionRecorded)]
    return [each for each in found if each.function == "judge.answer"]


def ends(kafka: KafkaSettings, alias: str) -> list[AlarmCleared]:
    return [each.event for each in read(kafka, ALARMS, AlarmCleared) if each.event.alias == alias]


@pytest.mark.usefixtures("worker")
def test_an_open_alarm_is_listed_shown_and_cleared_and_the_harm_alarmed_anew(
    kafka: KafkaSettings, run: Run, alias: str
) -> None:
    (line,) = run("alarms", "list", "--alias", alias).stdout.splitlines()
    id, named, version, kind, *_ = line.split()
    assert (named, version, kind) == (alias, f"{alias}-0123456789ab", "quality")
    shown = run("alarms", "show", id[:8]).stdout
    assert f"alarm    {id}" in shown
    assert "labelled answers since" in shown
    done = run("alarms", "clear", id[:8], "--reason", "the prompt was mended")
    assert (done.exit_code, done.stdout) == (0, f"{id} (quality of {version}): cleared\n")
    assert run("alarms", "list", "--alias", alias).stdout == ""
    (over,) = ends(kafka, alias)
    assert (over.alarm_id, over.cause, over.by) == (id, "cleared", "cli")
    (entry,) = entries(kafka, alias)
    assert entry.kind is DecisionKind.OPERATOR
    assert "the prompt was mended" in entry.summary
    serve(kafka, alias, 600, 700, harmed_from=0)
    raised = [each.event for each in read(kafka, ALARMS, AlarmRaised) if each.event.alias == alias]
    assert [each.kind.value for each in raised].count("quality") == 2
    done = run("replay", "--alias", alias)
    assert (done.exit_code, "derived again bit for bit" in done.stdout) == (0, True)


def test_what_is_said_while_no_worker_runs_is_taken_once_one_does(
    kafka: KafkaSettings, run: Run, alias: str, worker: Process
) -> None:
    worker.kill(signal.SIGKILL)
    version = f"{alias}-0123456789ab"
    answer = OperatorAnswer(version=version, verb="accept", by="cli", time_ms=time.time_ns() // 1_000_000)
    event = AlarmAnswered(id=uuid.uuid4().hex, alias=alias, time_ms=answer.time_ms, answer=answer)
    with closing(Appender(kafka, "test")) as log:
        for _ in range(2):  # a client that was not sure tries again: it is one answer
            log.append(SCORES, event, id=event.id, time_ms=event.time_ms)
    assert alarms.accept(kafka, alias, None, "cli", wait_s=0.0) == (version, False)
    worker.start()
    wait(lambda: len(alarms.memories(kafka)[alias].answered) == 3, what="both answers")
    assert [each.inputs["said"]["verb"] for each in entries(kafka, alias)] == ["clear", "accept", "accept"]
    assert {each.cause for each in ends(kafka, alias)} == {"cleared", "accepted"}
    assert run("alarms", "list", "--alias", alias).stdout == ""
    serve(kafka, alias, 700, 1_000, harmed_from=0)
    assert alarms.memories(kafka)[alias].judge.watches[version].raised == {}
    assert run("replay", "--alias", alias).exit_code == 0


@pytest.mark.usefixtures("worker")
def test_what_is_not_there_is_named(run: Run, alias: str) -> None:
    for words, told in (
        (("show", "nowhere"), "alarm is 'nowhere', expected one that is open"),
        (("accept", "nobody"), "alias is 'nobody', expected one that a worker has judged"),
        (("accept", alias, "v9"), f"version is 'v9', expected one that is under watch: {alias}-0123456789ab"),
    ):
        done = run("alarms", *words)
        assert done.exit_code == 1
        assert told in done.stderr
