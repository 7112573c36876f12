"""A trainer that is killed with `kill -9` in the midst of a training: one verdict, one report, the same run. Real
Kafka, a real (small) training; only the engine that answers is a fake."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.operator.rows import LabelledRow
from retrain.adapters import Adapter
from retrain.first_adapter import first_adapter
from retrain.job_files import TRAINING, JobOutcome, read
from retrain.settings import RetrainSettings
from retrain.training.backends.contract import steps_since
from retrain.training.recipe import SMALL
from streams.events import DecisionRecorded, RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import RetrainStatus
from streams.log.append import Writer
from streams.log.read import read as read_log
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.topics import FEEDBACK, INFERENCE, LEDGER, REQUESTS, RESULTS, ROUTES
from tests.retrain.data.test_labelled_rows import feedback, reply
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import here
from tests.retrain.support.rows import row
from tests.streams.support.lakes import put
from tests.support.waiting import wait

ALIAS = "killed"
STEPS = 600  # a small model takes hundreds a second
LOOK_S = 0.02


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    text = SMALL.read_text()
    for old, new in (
        ("enabled = true ", "enabled = false "),
        ("min_steps = 40 ", f"min_steps = {STEPS} "),
        ("batch_size = 8 ", "batch_size = 4 "),
        ("checkpoint_steps = 20 ", "checkpoint_steps = 10 "),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "slow.toml"
    path.write_text(text)
    return path


def prepared(kafka: KafkaSettings, var: Path, champion: Adapter) -> RetrainRequested:
    """Labelled traffic in the lake, a route and a request in the log."""
    asked = {i: row(i).messages for i in range(1, 121)}
    put(
        var / "lake",
        INFERENCE,
        [reply(i, alias=ALIAS, version=champion.version, input_messages=asked[i]) for i in asked],
    )
    put(var / "lake", FEEDBACK, [feedback(i, "a", alias=ALIAS, origin="random/app") for i in range(1, 121)])
    request = RetrainRequested(
        id="killed-1",
        alias=ALIAS,
        champion=champion.version,
        time_ms=0,
        alarm_id="alarm",
        since_ms=61_000,
        reason="labels prove harm",
    )
    route = RouteWritten(
        alias=ALIAS,
        generation=1,
        champion=champion.version,
        adapters={champion.version: champion.digest},
        time_ms=0,
        by="test",
    )
    writer = Writer(kafka, "test")
    writer.append(ROUTES, route, id="route", time_ms=1)
    writer.append(REQUESTS, request, id=request.id, time_ms=1)
    writer.close()
    return request


async def test_a_killed_trainer_goes_on_where_it_was(
    kafka: KafkaSettings, model_dir: Path, tmp_path: Path, recipe: Path
) -> None:
    rows = [LabelledRow(*row).example() for row in (("question one", "refund"), ("question two", "late"))] * 8
    settings = RetrainSettings(recipe=str(recipe), threads=1)
    stored = Storage(var=tmp_path)
    champion = first_adapter(rows, alias=ALIAS, model_dir=model_dir, stored=stored, settings=settings, training=here)
    request = prepared(kafka, tmp_path, champion)
    folder = tmp_path / "jobs" / request.id
    engine = Engine(champion.digest)
    async with engine.serving() as url:
        arguments = (kafka.bootstrap, str(model_dir), str(tmp_path), url, str(recipe))
        for kills in range(3):
            trainer = start(*arguments)
            try:
                if kills == 2:
                    await asyncio.to_thread(wait, lambda: ended(kafka, request) != [], most_s=180)
                    break
                await asyncio.to_thread(in_training, folder, 20 + 40 * kills)
            finally:
                os.kill(trainer.pid, signal.SIGKILL)
                trainer.wait()
        await asyncio.sleep(1)
    (report,) = ended(kafka, request)
    assert report.status is RetrainStatus.PROMOTE, report.reason
    verdicts = [r.event for r in read_log(kafka, LEDGER, DecisionRecorded) if r.event.cause == request.id]
    assert [decision.function for decision in verdicts] == ["gate.judge"]
    outcome = read(folder / "outcome.json", JobOutcome)
    assert outcome is not None
    assert (outcome.candidate, outcome.digest) == (report.candidate, report.digest)
    assert engine.names == {"base": "/base"}
    assert resumed(tmp_path, report) >= 20


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.retrain.support.trainer_process", *arguments])


def in_training(folder: Path, least: int) -> None:
    """Return in the midst of the training, after that step: as its own process notes them, since the job shows them
    later."""
    for _ in range(int(180 / LOOK_S)):
        steps, _ = steps_since(folder / TRAINING, 0)
        if steps and steps[-1].step >= least:
            return
        time.sleep(LOOK_S)
    raise AssertionError(f"step {least} was not reached")


def ended(kafka: KafkaSettings, request: RetrainRequested) -> list[RetrainReported]:
    results = [r.event for r in read_log(kafka, RESULTS, RetrainReported) if r.event.request_id == request.id]
    return [result for result in results if result.status is not RetrainStatus.CLAIMED]


def resumed(var: Path, report: RetrainReported) -> float:
    """How many steps the last process found done, as MLflow has it."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{var / 'mlflow' / 'mlflow.db'}")
    return float(client.get_run(str(report.mlflow_run)).data.metrics["resumed_at"])
