"""The trainer: claims first, the ledger before the report, and it stops when asked to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog.testing

from retrain import trainer as module
from retrain.evaluation.gate import GateInput, judge
from retrain.job_files import JobOutcome, JobSpec, TrainerPaths, read, write
from retrain.settings import RetrainSettings
from retrain.trainer import Trainer
from streams.events import DecisionRecorded, Event, RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import RetrainStatus
from streams.log.settings import KafkaSettings
from streams.topics import Topic
from tests.support.waiting import wait

OLD, DIGEST = "support-0123456789ab", "0123456789ab" + "0" * 52
REQUEST = RetrainRequested(
    id="r1", alias="support", champion=OLD, time_ms=0, alarm_id="a1", since_ms=0, reason="labels prove harm"
)
GATE = GateInput(
    candidate="support-ffffffffffff",
    champion=OLD,
    target=[(1.0, 0.0)] * 40,
    regression=[(1.0, 1.0)] * 100,
    min_gain=0.05,
    margin=0.1,
    slice_margin=0.25,
    min_slice=30,
    alpha=0.05,
)


def route(**changes: Any) -> RouteWritten:
    first = RouteWritten(alias="support", generation=1, champion=OLD, adapters={OLD: DIGEST}, time_ms=0, by="test")
    return msgspec.structs.replace(first, **changes)


class Log:
    """The followed topics and the writer in one: a record appended is read at once."""

    def __init__(self) -> None:
        self.requests, self.results = [REQUEST], list[RetrainReported]()
        self.routes = {"support": route()}
        self.written: list[Event] = []

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        self.written.append(event)
        if isinstance(event, RetrainReported):
            self.results = [*self.results, event]
        return len(self.written)

    def start(self) -> None: ...
    def close(self) -> None: ...
    def ready(self) -> bool:
        return True

    def statuses(self) -> list[RetrainStatus]:
        return [event.status for event in self.written if isinstance(event, RetrainReported)]


class Scene:
    """A trainer over a log of lists; its job is a line of Python."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.folder, self.stop = Log(), folder, threading.Event()
        place = TrainerPaths(model_dir=folder, var=folder, engine="http://engine")
        self.lacking, settings = "", RetrainSettings(lease_s=3.0)
        self.trainer = Trainer(KafkaSettings("nowhere:1"), settings, place, "trainer/me", lacking=lambda: self.lacking)
        monkeypatch.setattr(self.trainer, "_topics", self.log)
        monkeypatch.setattr(self.trainer, "_writer", self.log)
        monkeypatch.setattr(module, "POLL_S", 0.02)
        self._popen, self._patch = subprocess.Popen, monkeypatch

    def job(self, code: str) -> None:
        def start(_: list[str], **options: Any) -> Any:
            return self._popen([sys.executable, "-c", code], **options)

        self._patch.setattr("retrain.runners.local.subprocess.Popen", start)

    def outcome(self, outcome: JobOutcome) -> None:
        """The job leaves this behind."""
        write(self.folder / "jobs" / "r1" / "outcome.json", outcome)
        self.job("pass")

    def turn(self) -> None:
        self.trainer._turn(self.stop)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def won() -> JobOutcome:
    return JobOutcome(candidate="support-ffffffffffff", digest="f" * 64, trained_rows=9, gate=GATE, verdict=judge(GATE))


def test_a_trainer_loads_no_pytorch() -> None:
    """Training is a process of its own: between retrainings a trainer holds no gigabyte of libraries."""
    code = "import sys, retrain.trainer; print(sorted({'torch', 'transformers', 'mlflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_verdict_is_in_the_ledger_before_it_is_reported(scene: Scene) -> None:
    scene.outcome(won())
    scene.turn()
    claim, decision, report = scene.log.written
    assert isinstance(claim, RetrainReported)
    assert isinstance(decision, DecisionRecorded)
    assert isinstance(report, RetrainReported)
    assert (claim.status, report.status) == (RetrainStatus.CLAIMED, RetrainStatus.PROMOTE)
    assert decision.function == "gate.judge"
    assert judge(msgspec.convert(decision.inputs["gate"], GateInput)) == judge(GATE)
    assert [check["name"] for check in report.checks] == ["target", "regression"]
    scene.turn()
    assert len(scene.log.written) == 3


def test_a_job_knows_everything_from_its_file(scene: Scene) -> None:
    scene.outcome(won())
    scene.turn()
    spec = read(scene.folder / "jobs" / "r1" / "job.json", JobSpec)
    assert spec is not None
    assert (spec.request, spec.champion_digest, spec.metric) == (REQUEST, DIGEST, "exact_match")


def test_a_job_that_failed_is_reported_with_its_reason(scene: Scene) -> None:
    scene.outcome(JobOutcome(problem="ValueError: fresh labelled rows: 0"))
    scene.turn()
    report = scene.log.results[-1]
    assert (report.status, report.reason) == (RetrainStatus.FAILED, "ValueError: fresh labelled rows: 0")


def test_a_job_that_died_is_reported(scene: Scene) -> None:
    scene.job("import os; os._exit(9)")
    scene.turn()
    assert scene.log.statuses()[-1] == RetrainStatus.FAILED
    assert "ended with status 9; see" in scene.log.results[-1].reason


GARBAGE = [
    b"",
    b"{",
    b"null",
    b"[1, 2]",
    b"\xff\xfe\x00",
    b"[" * 5_000,
    b'{"step": 3, "steps": 40, "loss": null}',
    b'{"step": "three", "metrics": {"loss": null}, "candidate": 7}',
]


@pytest.mark.slow
@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_a_crash_left_in_a_jobs_files_ends_its_request_and_nobody_elses(scene: Scene, garbage: bytes) -> None:
    """At first a loss that is no number became null in the outcome, and the trainer stood for every alias."""
    other = msgspec.structs.replace(REQUEST, id="r2", alias="sales")
    scene.log.requests = [REQUEST, other]
    scene.log.routes["sales"] = route(alias="sales")
    write(scene.folder / "jobs" / "r2" / "outcome.json", won())
    folder = scene.folder / "jobs" / "r1"
    folder.mkdir(parents=True)
    for name in ("outcome.json", "progress.json", "job.json"):
        (folder / name).write_bytes(garbage)
    scene.job("import time; time.sleep(0.1)")
    scene.turn()
    scene.turn()
    ends = {result.request_id: result for result in scene.log.results}
    assert ends["r1"].status is RetrainStatus.FAILED
    assert "outcome.json cannot be read" in ends["r1"].reason
    assert ends["r2"].status is RetrainStatus.PROMOTE


@pytest.mark.slow
def test_a_request_whose_folder_cannot_be_used_keeps_no_other_waiting(scene: Scene) -> None:
    scene.log.requests = [REQUEST, msgspec.structs.replace(REQUEST, id="r2", alias="sales")]
    scene.log.routes["sales"] = route(alias="sales", adapters={})
    (scene.folder / "jobs").mkdir()
    (scene.folder / "jobs" / "r1").write_text("a file where a folder should be")
    scene.turn()
    scene.turn()
    ends = {result.request_id: result for result in scene.log.results}
    assert [ends[name].status for name in ("r1", "r2")] == [RetrainStatus.FAILED] * 2
    assert "FileExistsError" in ends["r1"].reason
    assert f"KeyError: '{OLD}'" in ends["r2"].reason


def test_while_something_is_lacking_requests_wait_for_another_trainer_or_for_it(scene: Scene) -> None:
    """On a full disk each failed at once, before a trainer with room could take it."""
    scene.lacking = "stack.var: /var/lib/homeostat has 0 bytes free"
    with structlog.testing.capture_logs() as logged:
        scene.turn()
        scene.turn()
    assert [each["lacking"] for each in logged] == [scene.lacking]
    assert scene.log.written == []
    scene.lacking = ""
    scene.outcome(won())
    scene.turn()
    assert scene.log.statuses() == [RetrainStatus.CLAIMED, RetrainStatus.PROMOTE]


def test_another_champion_makes_the_request_void(scene: Scene) -> None:
    scene.log.routes = {"support": route(champion="support-eeeeeeeeeeee")}
    scene.turn()
    assert scene.log.statuses() == [RetrainStatus.FAILED]
    assert "serves by now" in scene.log.results[-1].reason


def test_a_paused_alias_waits(scene: Scene) -> None:
    scene.log.routes = {"support": route(paused=True)}
    scene.turn()
    assert scene.log.written == []


def test_a_pause_ends_the_job_and_gives_the_request_back(scene: Scene) -> None:
    scene.job("import time; time.sleep(60)")
    turn = threading.Thread(target=scene.turn)
    turn.start()
    wait(lambda: bool(scene.log.results))
    scene.log.routes = {"support": route(paused=True)}
    turn.join(10)
    assert not turn.is_alive()
    assert scene.log.statuses() == [RetrainStatus.CLAIMED, RetrainStatus.CLAIMED]
    last = scene.log.results[-1]
    assert last.lease_until_ms <= last.time_ms


def test_a_trainer_told_to_stop_ends_its_job(scene: Scene) -> None:
    scene.job("import time; time.sleep(60)")
    thread = threading.Thread(target=scene.trainer.run, args=(scene.stop,))
    thread.start()
    wait(lambda: bool(scene.log.results))
    scene.stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert RetrainStatus.FAILED not in scene.log.statuses()


@pytest.mark.slow
def test_a_lease_is_renewed_while_the_job_works(scene: Scene) -> None:
    scene.job("import time; time.sleep(1.6)")
    scene.turn()
    assert scene.log.statuses().count(RetrainStatus.CLAIMED) >= 2


def test_somebody_elses_request_is_left_alone(scene: Scene) -> None:
    now_ms = time.time_ns() // 1_000_000
    theirs = RetrainReported(
        request_id="r1",
        alias="support",
        status=RetrainStatus.CLAIMED,
        time_ms=now_ms,
        by="trainer/other",
        lease_until_ms=now_ms + 60_000,
    )
    scene.log.results = [theirs]
    scene.turn()
    assert scene.log.written == []
