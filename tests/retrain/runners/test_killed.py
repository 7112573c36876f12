"""A runner that is killed takes its job with it, training and all; started again, the job goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retrain.job_files import OUTCOME, concluded, write
from retrain.training.backends.contract import steps_since
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import recipe_file
from tests.retrain.test_retraining import ONSET, World, served
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_a_job_whose_runner_is_killed_ends_and_goes_on_from_its_checkpoint(model_dir: Path, tmp_path: Path) -> None:
    recipe = recipe_file(
        tmp_path, min_steps=600, max_steps=600, checkpoint_steps=10, max_length=128, learning_rate=1e-3
    )
    world = World(tmp_path, model_dir, recipe_file(tmp_path / "first", min_steps=2, max_steps=2, max_length=128))
    world.settings = type(world.settings)(recipe=str(recipe), threads=1)
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    training = world.var / "jobs" / "r1" / "training"
    with Engine(world.champion.digest).apart(75.0) as url:
        write(tmp_path / "spec.json", world.spec(url))
        first = start(tmp_path / "spec.json")
        wait(lambda: len(steps_since(training, 0)[0]) > 30, most_s=300)
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait(lambda: not working(training), most_s=30)
        second = start(tmp_path / "spec.json")
        assert second.wait(timeout=600) == 0
    outcome = concluded(training.parent / OUTCOME)
    assert outcome is not None
    assert outcome.verdict is not None, outcome.problem
    assert outcome.metrics["resumed_at"] >= 30


def start(spec: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.retrain.support.runner_process", str(spec)])


def working(folder: Path) -> bool:
    """Whether a process trains in this folder."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, env=os.environ)
    return any("retrain.training" in line and str(folder) in line for line in found.stdout.splitlines())
