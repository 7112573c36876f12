"""Training, on a model small enough for a unit test: it learns, it resumes bit for bit, it leaves only safetensors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from retrain import recipe
from retrain.train import train
from retrain.weights import build
from streams.identity import ADAPTER_FILES

pytestmark = pytest.mark.slow

ROWS = [([{"role": "user", "content": f"say {word}"}], word) for word in ("red", "blue", "green", "pink")] * 4
KNOBS = recipe.find("qlora")


def knobs(*, quantised: bool = False, **training: Any) -> recipe.Recipe:
    given = {"min_steps": 12, "max_steps": 12, "batch_size": 4, "checkpoint_steps": 5, "learning_rate": 1e-2}
    return dataclasses.replace(
        KNOBS,
        quantisation=dataclasses.replace(KNOBS.quantisation, enabled=quantised),
        training=dataclasses.replace(KNOBS.training, **{**given, **training}),
    )


@pytest.mark.parametrize("quantised", [False, True])
def test_it_learns(model_dir: Path, tmp_path: Path, quantised: bool) -> None:
    losses: list[float] = []
    done = train(
        ROWS, model_dir, knobs(quantised=quantised), tmp_path, threads=1, progress=lambda *told: losses.append(told[2])
    )
    assert (done.rows, done.left_out, done.steps, done.resumed_at) == (4, 0, 12, 0)
    assert losses[-1] < losses[0] - 0.2
    assert sorted(path.name for path in done.folder.iterdir() if path.suffix != ".md") == sorted(ADAPTER_FILES)


class Killed(Exception):
    pass


def test_killed_and_called_again_it_ends_with_the_same_bits(model_dir: Path, tmp_path: Path) -> None:
    whole = train(ROWS, model_dir, knobs(), tmp_path / "whole", threads=1)

    def die(step: int, steps: int, loss: float) -> None:
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        train(ROWS, model_dir, knobs(), tmp_path / "parted", threads=1, progress=die)
    parted = train(ROWS, model_dir, knobs(), tmp_path / "parted", threads=1)
    assert parted.resumed_at == 5
    name = "adapter_model.safetensors"
    assert (parted.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_checkpoint_of_other_rows_is_none(model_dir: Path, tmp_path: Path) -> None:
    train(ROWS, model_dir, knobs(), tmp_path, threads=1)
    assert train(ROWS[:8], model_dir, knobs(), tmp_path, threads=1).resumed_at == 0


def test_it_goes_on_from_a_champion(model_dir: Path, tmp_path: Path) -> None:
    first = train(ROWS, model_dir, knobs(min_steps=30, max_steps=30), tmp_path / "one", threads=1)
    losses: list[float] = []
    train(
        ROWS,
        model_dir,
        knobs(),
        tmp_path / "two",
        warm_start=first.folder,
        threads=1,
        progress=lambda *told: losses.append(told[2]),
    )
    assert losses[0] < 2 * first.loss + 0.3


def test_a_warm_start_has_a_rate_of_its_own(model_dir: Path, tmp_path: Path) -> None:
    still = knobs(warm_learning_rate=1e-12)
    losses: list[float] = []
    first = train(ROWS, model_dir, still, tmp_path / "one", threads=1, progress=lambda *told: losses.append(told[2]))
    assert losses[-1] < losses[0] - 0.2
    then = train(ROWS, model_dir, still, tmp_path / "two", warm_start=first.folder, threads=1)
    before, after = (load_file(each.folder / "adapter_model.safetensors") for each in (first, then))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_long_rows_are_left_out_and_counted(model_dir: Path, tmp_path: Path) -> None:
    long = ([{"role": "user", "content": "x" * 600}], "red")
    done = train([*ROWS, long], model_dir, knobs(max_length=64), tmp_path, threads=1)
    assert (done.rows, done.left_out) == (4, 1)


def test_nothing_to_learn_from_is_said(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows: 0, none of at most 64 tokens"):
        train([], model_dir, knobs(max_length=64), tmp_path)


def shaped(**lora: Any) -> recipe.Recipe:
    return dataclasses.replace(KNOBS, lora=dataclasses.replace(KNOBS.lora, **lora))


def test_a_champion_of_another_shape_is_refused_and_its_dropout_is_the_recipes(model_dir: Path, tmp_path: Path) -> None:
    first = train(ROWS, model_dir, knobs(), tmp_path / "one", threads=1).folder
    for knob, value in (("r", 8), ("alpha", 64)):
        with pytest.raises(ValueError, match=rf"lora\.{knob} = {value}, but .* has"):
            build(model_dir, shaped(**{knob: value}), torch.device("cpu"), first)
    model = build(model_dir, shaped(dropout=0.25), torch.device("cpu"), first)
    assert model.peft_config["default"].lora_dropout == 0.25
    assert any(isinstance(module, torch.nn.Dropout) and module.p == 0.25 for module in model.modules())
    assert any(weight.requires_grad for weight in model.parameters())
