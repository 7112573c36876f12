"""A first adapter that was killed goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.operator.rows import LabelledRow
from retrain.first_adapter import first_adapter
from retrain.settings import RetrainSettings
from retrain.training import __main__ as program
from retrain.training.backends.contract import OnStep, TrainingOrder, TrainingResult, read_order
from retrain.training.backends.process import TrainingFailed
from retrain.training.recipe import SMALL, RecipeError
from streams.objects.opening import Storage
from tests.retrain.support.orders import PROGRAM, here

ROWS = [LabelledRow(f"say {word}", word).example() for word in ("red", "blue", "green", "pink")]


def quick(folder: Path) -> Path:
    path = folder / "quick.toml"
    text = SMALL.read_text()
    for old, new in (
        ("enabled = true ", "enabled = false "),
        ("min_steps = 40 ", "min_steps = 6 "),
        ("checkpoint_steps = 20 ", "checkpoint_steps = 2 "),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.mark.slow
def test_killed_and_called_again_it_goes_on(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[TrainingResult] = []

    def noted(folder: Path, processes: int, report: OnStep) -> TrainingResult:
        done.append(here(folder, processes, report))
        return done[-1]

    def made(name: str, killed_at: int = 0, rows: int = 4) -> str:
        def die(step: int, steps: int, loss: float) -> None:
            if step == killed_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(program, "reporter", lambda folder: die)
        (var := tmp_path / name).mkdir(exist_ok=True)
        settings = RetrainSettings(recipe=str(quick(tmp_path)), threads=1)
        given: dict[str, Any] = {"alias": "support", "model_dir": model_dir, "stored": Storage(var=var)}
        return first_adapter(ROWS[:rows], settings=settings, training=noted, **given).version

    whole = made("whole")
    with pytest.raises(KeyboardInterrupt):
        made("parted", 5)
    assert made("parted", rows=3) != whole  # of other rows: from the beginning
    assert made("parted") == whole
    assert [each.resumed_at for each in done] == [0, 0, 4]
    assert list((tmp_path / "parted" / "first").iterdir()) == []


def test_it_is_trained_by_the_backend_of_the_settings(model_dir: Path, tmp_path: Path) -> None:
    orders: list[TrainingOrder] = []

    def refuse(folder: Path, processes: int, report: OnStep) -> TrainingResult:
        orders.append(read_order(folder)[0])
        raise TrainingFailed(f"with {processes} processes")

    command = (*PROGRAM, "{manifest}")
    settings = RetrainSettings(backend="command", command=command, gpus=2, engine_dtype="bfloat16")
    with pytest.raises(TrainingFailed, match="with 2 processes"):
        first_adapter(
            ROWS,
            alias="support",
            model_dir=model_dir,
            stored=Storage(var=tmp_path),
            settings=settings,
            training=refuse,
        )
    assert (orders[0].backend, orders[0].command, orders[0].engine_dtype) == ("command", [*command], "bfloat16")


def test_a_rank_that_the_engines_do_not_take_is_refused_at_once(model_dir: Path, tmp_path: Path) -> None:
    settings = RetrainSettings(recipe="small", max_lora_rank=8)
    with pytest.raises(RecipeError, match=r"lora\.r = 16; expected at most 8, the engines' --max-lora-rank"):
        first_adapter(ROWS, alias="support", model_dir=model_dir, stored=Storage(var=tmp_path), settings=settings)
