"""A validation loss ends a training that gets no better, and its best adapter is the one that is kept."""

from __future__ import annotations

import random
import signal
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.training.batches import Encoded
from retrain.training.loop.course import Course, held_back
from retrain.training.train import Trained, train
from tests.retrain.support.forks import forked
from tests.retrain.support.training_process import train_told
from tests.retrain.support.trainings import ROWS, knobs

# Their loss gets worse the more is learned.
WRONG = [([{"role": "user", "content": f"say {word}"}], "blue") for word in ("red", "pink")]
KILLS, STEPS = 5, 30


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.just([1])), min_size=1),
    st.floats(0, 0.99),
)
def test_rows_held_back_are_not_learned(given_rows: list[tuple[list[int], list[int]]], share: float) -> None:
    rows = [Encoded(*row) for row in given_rows]
    kept, held = held_back(rows, share)
    kept_keys, held_keys = ({(*row.prompt, -1, *row.completion) for row in part} for part in (kept, held))
    assert kept
    assert not kept_keys & held_keys
    assert kept_keys | held_keys == {(*row.prompt, -1, *row.completion) for row in rows}
    assert len(held) == min(round(share * len(kept_keys | held_keys)), len(kept_keys | held_keys) - 1)
    assert held_back(rows[::-1], share)[1] == held


def test_it_is_over_when_the_loss_has_not_got_better_so_often() -> None:
    patient = knobs(patience=2, min_steps=1).training
    course = Course()
    for loss, over in ((3.0, False), (2.0, False), (2.0, False), (1.0, False), (1.5, False), (1.0, True)):
        course.losses.append(0.0)
        course.judged(loss, {})
        assert course.over(patient) is over
    assert course.best_step == 4
    assert not course.over(knobs(patience=0, min_steps=1).training)
    assert not course.over(knobs(patience=2, min_steps=7, max_steps=9).training)


def trained(model_dir: Path, out: Path, steps: int) -> Trained:
    constant: dict[str, Any] = {"schedule": "constant", "validation_steps": 2, "patience": 3}
    recipe = knobs(min_steps=2, max_steps=steps, epochs=99.0, **constant)
    return train(ROWS, model_dir, recipe, out, validation=WRONG, threads=1)


@pytest.mark.slow
def test_it_ends_early_and_keeps_the_best_adapter(model_dir: Path, tmp_path: Path) -> None:
    done = trained(model_dir, tmp_path / "early", 200)
    assert done.best_step < done.steps < 200
    assert done.steps == done.best_step + 6
    assert min(loss for _, loss in done.validation) == dict(done.validation)[done.best_step]
    assert any(f"ended after {done.steps} of 200 steps" in each for each in done.limits)
    assert done.figures()["validation_loss"] == dict(done.validation)[done.best_step]
    best = trained(model_dir, tmp_path / "best", done.best_step)
    name = "adapter_model.safetensors"
    assert (done.folder / name).read_bytes() == (best.folder / name).read_bytes()


@pytest.mark.slow
def test_a_share_of_the_rows_is_held_back_where_none_are_given(model_dir: Path, tmp_path: Path) -> None:
    done = train(ROWS, model_dir, knobs(validation_share=0.25, validation_steps=6), tmp_path, threads=1)
    assert done.rows == 3
    assert [step for step, _ in done.validation] == [6, 12]
    few = train(ROWS[:1], model_dir, knobs(validation_share=0.25), tmp_path / "few", threads=1)
    assert (few.rows, few.validation, few.best_step) == (1, [], 0)
    assert any("validation_share = 0.25 of so few rows is none" in each for each in few.limits)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_random_steps_it_ends_with_the_same_bits(model_dir: Path, tmp_path: Path) -> None:
    assert run_until(model_dir, tmp_path / "whole", None) == STEPS
    steps = sorted(random.Random(7).sample(range(1, STEPS), KILLS))
    for step in steps:
        run_until(model_dir, tmp_path / "parted", step)
    assert run_until(model_dir, tmp_path / "parted", None) == STEPS
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parted" / name).read_bytes()


def run_until(model_dir: Path, out: Path, step: int | None) -> int:
    """Run the training until it has taken that step, then kill it; return the last step that it took."""
    reader, told = Pipe(duplex=False)
    process, last = forked(train_told, model_dir, out, STEPS, told), 0
    told.close()
    with suppress(EOFError):
        while step is None or last < step:
            last = reader.recv()
        process.kill()
    process.join()
    assert process.exitcode == (0 if step is None else -signal.SIGKILL)
    return last
