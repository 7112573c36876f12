"""What a training will take is reckoned before a weight is loaded, and checked against what came."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from retrain.training import recipe, targets
from retrain.training.batches import Encoded
from retrain.training.loop.estimate import Sizes, TrainingEstimate, estimate, mapped_bytes
from retrain.training.train import train
from tests.retrain.support.models import of_experts
from tests.retrain.support.trainings import ROWS, knobs

SHORT, LONG = Encoded([1] * 20, [1] * 4), Encoded([1] * 200, [1] * 100)
# As large as an 8B model: 32 layers, 128,256 tokens.
LAYERS = {"q": (4096, 4096), "k": (4096, 1024), "v": (4096, 1024), "o": (4096, 4096)}
LAYERS |= {"gate": (4096, 14336), "up": (4096, 14336), "down": (14336, 4096)}
EIGHT = Sizes(
    parameters=8_030_261_248,
    packed=6_979_321_856,
    layers={f"layers.{i}.{name}": size for i in range(32) for name, size in LAYERS.items()},
    experts=0.0,
    depth=32,
    width=4096,
    vocabulary=128_256,
)


def of(
    row: Encoded, devices: int = 1, sizes: Sizes = EIGHT, *, quantised: bool = True, **training: Any
) -> TrainingEstimate:
    known = recipe.find("large")
    quantisation = dataclasses.replace(known.quantisation, enabled=quantised)
    changed = dataclasses.replace(
        known, quantisation=quantisation, training=dataclasses.replace(known.training, **training)
    )
    return estimate(sizes, frozenset(sizes.layers), changed, [row] * 16, [range(16)] * 3, devices, 2, 1e12)


def test_a_model_of_8_billion_parameters_in_4_bits_takes_what_it_is_known_to_take() -> None:
    assert of(SHORT).weights_bytes / 2**30 == pytest.approx(6.0, abs=0.4)  # 5.3 GiB of weights, and an adapter of 42 M
    assert of(SHORT, quantised=False).weights_bytes / 2**30 == pytest.approx(15.6, abs=0.4)


def test_more_is_more_and_less_is_less() -> None:
    assert of(LONG).peak_bytes > of(SHORT).peak_bytes
    assert of(LONG).seconds > 5 * of(SHORT).seconds
    assert of(LONG, gradient_checkpointing=False).peak_bytes > of(LONG).peak_bytes
    assert of(LONG, gradient_checkpointing=False).seconds < of(LONG).seconds
    assert of(LONG, batch_size=4).peak_bytes > of(LONG).peak_bytes
    assert of(LONG, devices=4).seconds == pytest.approx(of(LONG).seconds / 4)
    assert of(LONG, devices=4).weights_bytes == of(LONG).weights_bytes


def test_recomputing_begins_with_3_billion_parameters_unless_the_recipe_decides() -> None:
    known = recipe.find("large").training
    assert [known.recomputes(each) for each in (2_999_999_999, 3_000_000_000)] == [False, True]
    always, never = (dataclasses.replace(known, gradient_checkpointing=each) for each in (True, False))
    assert always.recomputes(1)
    assert not never.recomputes(10**12)


def test_of_experts_a_token_passes_the_chosen_ones(model_dir: Path, tmp_path: Path) -> None:
    sizes = targets.check(of_experts(model_dir, tmp_path / "model"), recipe.find("small").lora).sizes
    assert sizes.experts == 2 * 3 * 16 * 32  # two of four experts, three matrices each


def test_a_file_of_the_same_type_is_the_models_memory() -> None:
    assert mapped_bytes(EIGHT, quantised=False, element=2, files=2 * EIGHT.parameters) == 0
    assert mapped_bytes(EIGHT, quantised=True, element=2, files=2 * EIGHT.parameters) == 2 * EIGHT.packed
    assert mapped_bytes(EIGHT, quantised=False, element=4, files=2 * EIGHT.parameters) == 2 * EIGHT.parameters


@pytest.mark.slow
def test_what_came_stands_next_to_what_was_expected(model_dir: Path, tmp_path: Path) -> None:
    done = train(ROWS, model_dir, knobs(), tmp_path, threads=1)
    figures = done.figures()
    assert 0.5 < figures["estimated_peak_bytes"] / figures["peak_bytes"] < 2
    assert figures["step_seconds"] > 0
    assert figures["estimated_step_seconds"] > 0
    assert (figures["train_tokens"], figures["answer_tokens"]) == (done.tokens, done.answer_tokens)
    assert done.tokens > done.answer_tokens > 0
