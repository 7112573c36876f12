"""Where memory runs out, a training goes on with half the rows at once and the same losses, or ends with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from retrain.training.batches import Encoded
from retrain.training.loop import learner
from retrain.training.loop.memory import MemoryExceeded
from retrain.training.loss import answer_loss
from retrain.training.recipe import find
from retrain.training.train import Trained, train
from tests.retrain.support.trainings import ROWS, knobs

pytestmark = pytest.mark.slow


def of_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def of_a_processor() -> None:
    torch.empty(2**60)


def with_room_for(rows: int, most: list[int], refuse: Callable[[], None]) -> Callable[..., torch.Tensor]:
    """A loss on a device that has room for so many rows at once; `most`: how many there were, at each call."""

    def loss(model: Any, given: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
        most.append(len(given))
        found = answer_loss(model, given, pad, device)
        if len(given) > rows:
            refuse()
        return found

    return loss


@pytest.mark.parametrize("refuse", [of_a_gpu, of_a_processor])
def test_out_of_memory_it_goes_on_with_half_the_rows_and_the_same_losses(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[], None]
) -> None:
    whole: list[float] = []
    train(ROWS, model_dir, knobs(), tmp_path / "whole", threads=1, progress=lambda *at: whole.append(at[2]))
    halved, calls = list[float](), list[int]()
    monkeypatch.setattr(learner, "answer_loss", with_room_for(2, calls, refuse))
    done = train(ROWS, model_dir, knobs(), tmp_path / "halved", threads=1, progress=lambda *at: halved.append(at[2]))
    assert calls == [4, *[2, 2] * 12]
    assert halved == pytest.approx(whole, abs=1e-4)
    assert any("training.batch_size = 4 was too much, 2 rows were taken at once" in each for each in done.limits)


def test_out_of_memory_once_more_it_ends_and_says_so(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "answer_loss", with_room_for(0, [], of_a_gpu))
    ends = r"at step 1 of 12 with 2 rows at once, after 4 .*lower training\.batch_size"
    with pytest.raises(MemoryExceeded, match=ends):
        train(ROWS, model_dir, knobs(), tmp_path, threads=1)
    with pytest.raises(MemoryExceeded, match="at step 1 of 12 with 1 rows at once "):
        train(ROWS, model_dir, knobs(batch_size=1), tmp_path, threads=1)
    assert not (tmp_path / "adapter").exists()


def test_a_resumed_training_keeps_to_half_the_rows(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(out: str, killed_at: int = 0) -> Trained:
        def die(step: int, steps: int, loss: float) -> None:
            if step == killed_at:
                raise KeyboardInterrupt

        return train(ROWS, model_dir, knobs(), tmp_path / out, threads=1, progress=die)

    calls: list[int] = []
    monkeypatch.setattr(learner, "answer_loss", with_room_for(2, calls, of_a_gpu))
    whole = ending("whole")
    with pytest.raises(KeyboardInterrupt):
        ending("parted", 8)
    calls.clear()
    parted = ending("parted")
    assert calls == [2, 2] * 7
    one, two = ((each.folder / "adapter_model.safetensors").read_bytes() for each in (whole, parted))
    assert one == two


def test_another_error_is_not_taken_for_one_of_memory(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(learner, "answer_loss", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(ROWS, model_dir, knobs(), tmp_path, threads=1)


def test_weights_that_fit_nowhere_are_refused_before_they_are_loaded(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrain.training.train.free_bytes", lambda _: 1_000)
    monkeypatch.delattr("retrain.training.train.build")
    with pytest.raises(MemoryExceeded, match=r"the model's weights and the optimiser take .* GiB, cpu has"):
        train(ROWS, model_dir, knobs(), tmp_path, threads=1)


def test_the_warm_up_takes_a_fifth_of_the_steps_at_most() -> None:
    many = find("conservative").training
    assert learner.rate(many, 0, 1_000) == pytest.approx(1 / 21)
    assert learner.rate(many, 20, 1_000) == 1.0
    assert learner.rate(many, 3, 15) == 1.0
