"""A trainer whose jobs run on other machines: they outlive it, stop when they must; their outcome is in the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from retrain import trainer as module
from retrain.handover import Handover
from retrain.job_files import OUTCOME, JobOutcome, JobSpec, TrainerPaths, write
from retrain.runners import outcome as endings
from retrain.runners.interface import JobState
from retrain.runners.outcome import outcome
from retrain.settings import RetrainSettings
from retrain.trainer import Trainer
from streams.kinds import RetrainStatus
from streams.log.settings import KafkaSettings
from streams.objects.settings import StorageSettings
from tests.retrain.test_trainer import Scene, won


@dataclass
class Elsewhere:
    """A cluster with one job. `polls`: how it is, then; `done` is called where it ends."""

    polls: list[JobState]
    asked: list[str] = field(default_factory=list)
    elsewhere: bool = True

    def start(self, spec: JobSpec) -> None:
        self.asked.append("start")

    def poll(self, job: str) -> JobState:
        return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]

    def stop(self, job: str) -> None:
        self.asked.append("stop")

    def forget(self, job: str) -> None:
        self.asked.append("forget")


RUNS, ENDED = JobState(running=True), JobState(running=False)


def scene_of(runner: Elsewhere, folder: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 60.0) -> Scene:
    scene = Scene(folder / "trainer", monkeypatch)
    place = TrainerPaths(
        model_dir=folder,
        var=folder / "trainer",
        engine="http://engine",
        storage=StorageSettings(url=(folder / "store").as_uri()),
    )
    settings = RetrainSettings(lease_s=3.0, timeout_s=timeout_s)
    scene.trainer = Trainer(KafkaSettings("nowhere:1"), settings, place, "trainer/me", runner)
    monkeypatch.setattr(scene.trainer, "_topics", scene.log)
    monkeypatch.setattr(scene.trainer, "_writer", scene.log)
    monkeypatch.setattr(module, "BACK_OFF_S", 0.01)
    return scene


def left(folder: Path, outcome: JobOutcome) -> None:
    """The job leaves this in the store."""
    write(folder / "store" / "jobs" / "r1" / OUTCOME, outcome)


def test_the_verdict_is_read_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(tmp_path, won())
    runner = Elsewhere([RUNS, ENDED])
    scene = scene_of(runner, tmp_path, monkeypatch)
    scene.turn()
    assert scene.log.statuses()[-1] == RetrainStatus.PROMOTE
    assert runner.asked == ["start", "forget"]


def test_a_trainer_that_is_stopped_lets_its_job_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Elsewhere([RUNS])
    scene = scene_of(runner, tmp_path, monkeypatch)
    scene.stop.set()
    scene.turn()
    assert runner.asked == ["start"]
    assert scene.log.results[-1].lease_until_ms <= scene.log.results[-1].time_ms, "another may have the request at once"


def test_a_pause_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Elsewhere([RUNS])
    scene = scene_of(runner, tmp_path, monkeypatch)
    route = scene.log.routes["support"]
    start = runner.start

    def paused(spec: JobSpec) -> None:
        start(spec)
        scene.log.routes["support"] = msgspec.structs.replace(route, paused=True)

    monkeypatch.setattr(runner, "start", paused)
    scene.turn()
    assert runner.asked == ["start", "stop"]
    assert RetrainStatus.FAILED not in scene.log.statuses()


def test_one_that_takes_too_long_is_stopped_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Elsewhere([RUNS])
    scene = scene_of(runner, tmp_path, monkeypatch, timeout_s=0.01)
    scene.turn()
    assert runner.asked == ["start", "stop", "forget"]
    assert scene.log.results[-1].reason == "no outcome within 0.01 s"


def test_one_that_failed_is_reported_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(Elsewhere([JobState(running=False, why="Job j has failed: OOM")]), tmp_path, monkeypatch)
    scene.turn()
    assert (scene.log.statuses()[-1], scene.log.results[-1].reason) == (RetrainStatus.FAILED, "Job j has failed: OOM")


def test_a_store_that_is_away_when_a_job_ends_is_waited_for(tmp_path: Path) -> None:
    looks: list[int] = []

    def wait() -> None:
        looks.append(1)
        if len(looks) == 3:
            write(tmp_path / "j" / OUTCOME, won())

    assert outcome(Handover(None, tmp_path / "j"), ENDED, wait) == won()
    assert len(looks) == 3


def test_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "PATIENCE_S", 0.0)
    assert "ended well without one" in outcome(Handover(None, tmp_path), ENDED, lambda: None).problem
