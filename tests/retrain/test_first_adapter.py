"""A first adapter that was killed goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.operator.rows import LabelledRow
from retrain import first_adapter as module
from retrain.first_adapter import first_adapter
from retrain.settings import RetrainSettings
from retrain.training.recipe import SMALL, RecipeError
from retrain.training.train import Trained, train
from tests.support.folder import in_folder

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
    done: list[Trained] = []

    def noted(*given: Any, **options: Any) -> Trained:
        done.append(train(*given, **options))
        return done[-1]

    monkeypatch.setattr(module, "train", noted)

    def made(name: str, killed_at: int = 0, rows: int = 4) -> str:
        def die(step: int, steps: int, loss: float) -> None:
            if step == killed_at:
                raise KeyboardInterrupt

        (var := tmp_path / name).mkdir(exist_ok=True)
        settings = RetrainSettings(recipe=str(quick(tmp_path)), threads=1)
        given: dict[str, Any] = {"alias": "support", "model_dir": model_dir, "var": var, "trees": in_folder(var)}
        return first_adapter(ROWS[:rows], settings=settings, progress=die, **given).version

    whole = made("whole")
    with pytest.raises(KeyboardInterrupt):
        made("parted", 5)
    assert made("parted", rows=3) != whole  # of other rows: from the beginning
    assert made("parted") == whole
    assert [each.resumed_at for each in done] == [0, 0, 4]
    assert list((tmp_path / "parted" / "first").iterdir()) == []


def test_a_rank_that_the_engines_do_not_take_is_refused_at_once(model_dir: Path, tmp_path: Path) -> None:
    settings = RetrainSettings(recipe="small", max_lora_rank=8)
    with pytest.raises(RecipeError, match=r"lora\.r = 16; expected at most 8, the engines' --max-lora-rank"):
        first_adapter(
            ROWS, alias="support", model_dir=model_dir, var=tmp_path, trees=in_folder(tmp_path), settings=settings
        )
