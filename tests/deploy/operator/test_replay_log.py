"""`homeostat replay` and `homeostat backtest` of what a real worker left: its ledger in Kafka, its lake on disk."""

from __future__ import annotations

import signal
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from deploy.backtest.report import BacktestReport, Fidelity
from deploy.cli import main
from deploy.config.toml import dump
from deploy.operator.replay import LedgerError, derived
from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import AlarmRaised, DecisionRecorded
from streams.kinds import DecisionKind
from streams.ledger import export
from streams.log.append import Appender
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, FEEDBACK, INFERENCE, LEDGER, REQUESTS
from tests.deploy.support.lives import Life, life, plain
from tests.streams.support import oracle
from tests.streams.support.traffic import Plan, Process, produce, small, within
from tests.support.waiting import wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MONITOR = MonitorSettings(reference_events=200, window_s=20)
POLICY = PolicySettings(min_fresh_labels=50)
HARMED, CHANGED = (f"{kind}-{uuid.uuid4().hex[:10]}" for kind in ("harmed", "changed"))
PART = 50
Places = list[tuple[int, int]]
Run = Callable[..., Result]


def of(alias: str, lived: Life) -> Life:
    """The life of this alias, whose engine gives no log-probabilities: nothing then hangs on whether a reply or the
    label on another one came first, which is nobody's promise."""
    replies = [replace(each, alias=alias, logprob_mean=None, logprob_min=None) for each in lived.replies]
    return Life(replies, [replace(each, alias=alias) for each in lived.labels])


@pytest.fixture(scope="module")
def lived(kafka: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two lives past a real worker, each in one partition, since the order of several is nobody's promise either."""
    var = tmp_path_factory.mktemp("lived")
    worker = Process(Plan(kafka, small(HARMED), within(var), MONITOR, POLICY), var / "worker.log")
    lives = [of(HARMED, life("harm")), of(CHANGED, life("drift"))]
    worker.start()
    try:
        for partition, each in enumerate(lives):
            sent, told = _send(kafka, each, partition)
            ends = oracle.ends("inference", sent) | oracle.ends("feedback", told)
            wait(lambda a=each.replies[0].alias, e=ends: oracle.caught_up(kafka, a, e), what="the judge")  # type: ignore[misc]
        worker.kill(signal.SIGTERM)
        yield var
    finally:
        worker.kill()


def _send(kafka: KafkaSettings, each: Life, partition: int) -> tuple[Places, Places]:
    """Some replies, then the labels given by then, and so on."""
    sent: Places = []
    told: Places = []
    given = 0
    for first in range(0, len(each.replies), PART):
        some = each.replies[first : first + PART]
        until = bisect_right([label.time_ms for label in each.labels], some[-1].time_ms)
        until = until if first + PART < len(each.replies) else len(each.labels)
        sent += produce(kafka, INFERENCE, some, partition)
        told += produce(kafka, FEEDBACK, each.labels[given:until], partition)
        given = until
    return sent, told


@pytest.fixture
def run(kafka: KafkaSettings, tmp_path: Path) -> Run:
    config = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path), "embedded_kafka": False}
    tables: dict[str, dict[str, object]] = {
        "stack": stack,
        "kafka": {"bootstrap": kafka.bootstrap},
        "monitor": plain(MONITOR),
        "policy": plain(POLICY),
    }
    config.write_text(dump(tables))
    return lambda *words: CliRunner().invoke(main, [*words, "--config", str(config)])


def decisions(kafka: KafkaSettings, alias: str = HARMED) -> list[DecisionRecorded]:
    return [each for each in oracle.kept(kafka, LEDGER, alias).values() if isinstance(each, DecisionRecorded)]


@pytest.mark.usefixtures("lived")
def test_every_decision_of_the_log_is_derived_again(kafka: KafkaSettings, run: Run, tmp_path: Path) -> None:
    made = decisions(kafka)
    assert {each.function for each in made} == {"judge.update", "policy.decide"}
    done = run("replay", "--alias", HARMED)
    assert (done.exit_code, done.stdout) == (0, f"{len(made)} decisions, all derived again bit for bit\n")
    export(made, tmp_path / "ledger.jsonl")
    assert run("replay", str(tmp_path / "ledger.jsonl")).stdout == done.stdout


def _on_quality(entry: DecisionRecorded) -> bool:
    """Whether the labels of its input decided it: not each label that comes changes what the judge says."""
    return entry.function != "judge.update" or any(
        found.get("kind") == "quality" for found in entry.output if isinstance(found, dict)
    )


def labels_turned(inputs: dict[str, Any]) -> None:
    rows = inputs["batch"]["rows"]
    rows["losses"] = [1.0 - each for each in rows["losses"]]


def one_label_more(inputs: dict[str, Any]) -> None:
    inputs["observation"]["fresh_labels"] += 1


@pytest.mark.parametrize(("function", "tamper"), [("judge.update", labels_turned), ("policy.decide", one_label_more)])
@pytest.mark.usefixtures("lived")
def test_a_tampered_input_in_the_log_is_found(
    kafka: KafkaSettings, run: Run, function: str, tamper: Callable[[dict[str, Any]], None]
) -> None:
    entry = next(each for each in decisions(kafka) if each.function == function and _on_quality(each))
    alias = f"{HARMED}-{function.partition('.')[0]}"
    forged = replace(entry, id=f"forged-{function}", alias=alias, inputs=deepcopy(entry.inputs))
    tamper(forged.inputs)
    with closing(Appender(kafka, "test")) as log:
        log.append(LEDGER, replace(entry, alias=alias), id="sound", time_ms=1)
        log.append(LEDGER, forged, id=forged.id, time_ms=1)
    done = run("replay", "--alias", alias)
    assert done.exit_code == 1
    assert f"decision forged-{function} (" in done.stderr
    assert "differs: output" in done.stderr


def test_what_another_release_wrote_is_named_not_left_out(kafka: KafkaSettings, run: Run) -> None:
    """It stands in the log for good, so in one of its own."""
    strange = DecisionRecorded(
        id="d",
        schema_version=99,
        alias="strange",
        time_ms=1,
        kind=DecisionKind.POLICY,
        function="policy.decide",
        inputs={},
        output=[],
    )
    with pytest.raises(LedgerError, match=r"loop.ledger/0/7: .*schema_version is 99, expected 1: written by another"):
        list(derived([("loop.ledger/0/7", codec.encode(strange))]))


def backtested(kafka: KafkaSettings, run: Run, lived: Path, tmp_path: Path, alias: str) -> BacktestReport:
    export(decisions(kafka, alias), tmp_path / "ledger.jsonl")
    (tmp_path / "same.toml").touch()
    paths = {"--from": lived / "lake", "--ledger": tmp_path / "ledger.jsonl", "--out": tmp_path / "out"}
    words = [word for name, path in paths.items() for word in (name, str(path))]
    done = run("backtest", "--policy", str(tmp_path / "same.toml"), "--alias", alias, *words)
    assert done.exit_code == 0, done.output
    return msgspec.json.decode((tmp_path / "out/backtest.json").read_bytes(), type=BacktestReport)


def alarms(kafka: KafkaSettings, alias: str) -> list[AlarmRaised]:
    return [each for each in oracle.kept(kafka, ALARMS, alias).values() if isinstance(each, AlarmRaised)]


def test_a_backtest_of_the_workers_lake_finds_the_harm_that_the_worker_found(
    kafka: KafkaSettings, run: Run, lived: Path, tmp_path: Path
) -> None:
    """Labels are judged turn by turn of the log's time, which the lake does not know: here all of a life came within
    seconds. So the alarm is the same one, found with other labels of the same episode."""
    found = backtested(kafka, run, lived, tmp_path, HARMED)
    (raised,) = alarms(kafka, HARMED)
    for told in found.results:
        (alarm,) = told.outcome.alarms
        assert (alarm.version, alarm.kind) == (raised.version, raised.kind.value)
        assert abs(alarm.onset_ms - raised.onset_ms) <= 4 * PART * 200  # pieces of the traffic
        assert len(told.outcome.retrainings) == 1


def test_a_backtest_of_the_workers_lake_finds_its_very_alarms(
    kafka: KafkaSettings, run: Run, lived: Path, tmp_path: Path
) -> None:
    alias = CHANGED
    found = backtested(kafka, run, lived, tmp_path, alias)
    raised = alarms(kafka, alias)
    assert [each.kind.value for each in raised] == ["drift"]
    happened, *replayed = (told.outcome for told in found.results)
    for outcome in replayed:
        assert [each.key for each in outcome.alarms] == [
            (each.version, each.kind.value, each.last_event, each.onset_ms) for each in raised
        ]
        assert {each.request_id for each in outcome.retrainings} == set(oracle.kept(kafka, REQUESTS, alias))
    assert found.fidelity == Fidelity(recorded=1, again=1, more=0, settings_changed=[])
    assert [each.key for each in happened.alarms] == [each.key for each in replayed[0].alarms]
