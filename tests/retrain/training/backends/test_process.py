"""A training's processes: several by torchrun, a disk that fills, an order that is taken up again."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from retrain.training.backends.contract import ADAPTER, read_order, read_result
from retrain.training.backends.process import TrainingFailed, run_training, training_command
from streams.identity import ADAPTER_FILES
from tests.retrain.support.orders import fulfilled, ordered, recipe_file

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_two_processes_by_torchrun_make_the_adapter_that_one_makes(model_dir: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    together, alone = (ordered(tmp_path / name, model_dir) for name in ("together", "alone"))
    result = run_training(together, 2, lambda step, steps, loss: losses.append(loss))
    assert fulfilled(alone).problem == result.problem == ""
    assert len(losses) == result.steps == 12
    one, two = (load_file(each / ADAPTER / ADAPTER_FILES[1]) for each in (alone, together))
    assert all(abs(one[name] - two[name]).max() < 1e-4 for name in one)


def test_a_training_that_leaves_no_result_says_how_it_ended(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ordered(tmp_path, model_dir)
    monkeypatch.setattr("retrain.training.backends.process.training_command", lambda *_: ["sh", "-c", "kill -9 $$"])
    with pytest.raises(TrainingFailed, match="ended with status -9 and left no result"):
        run_training(folder, 1, lambda *_: None)


def filling(room: int) -> Callable[[], None]:
    """No file may grow beyond `room` bytes: the write that would fails, as on a disk that is full."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return limit


@pytest.mark.timeout(600)
def test_a_disk_that_fills_in_the_middle_ends_the_training_clearly_and_it_goes_on_once_there_is_room(
    model_dir: Path, tmp_path: Path
) -> None:
    folder = ordered(tmp_path, model_dir)
    recipe_file(folder, checkpoint_steps=5)
    digest = read_order(folder)[1]
    command = [each for each in training_command(folder) if each != "--with-parent"]
    done = subprocess.run(command, preexec_fn=filling(50_000), check=False)
    result = read_result(folder, digest)
    assert (done.returncode, result is not None and result.problem != "") == (1, True)
    assert result is not None
    assert "File too large" in result.problem
    assert not (folder / ADAPTER / ADAPTER_FILES[1]).exists()
    again = fulfilled(folder)
    assert (again.problem, again.steps) == ("", 12)
