"""A recipe is checked as a whole before anything expensive starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.training.recipe import SMALL, RecipeError, find, load


def altered(folder: Path, *changes: tuple[str, str]) -> Path:
    text = SMALL.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_recipe_that_comes_along_is_sound() -> None:
    recipe = find("small")
    assert recipe == load(SMALL) == find("qlora")  # as earlier releases named it
    assert (recipe.quantisation.type, recipe.lora.r) == ("nf4", 16)


def test_a_recipe_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    path = altered(tmp_path, ("r = 16 ", "r = 8 "))
    assert find(str(path)).lora.r == 8


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    path = altered(tmp_path, ("r = 16 ", "r = 0 "), ("learning_rate = 1e-3", 'learning_rate = "fast"'))
    with pytest.raises(RecipeError) as raised:
        load(path)
    assert len(raised.value.problems) == 2
    assert "lora.r" in str(raised.value)
    assert "0" in str(raised.value)
    assert "training.learning_rate" in str(raised.value)


def test_an_unknown_knob_is_named(tmp_path: Path) -> None:
    path = altered(tmp_path, ("epochs = 1.0", "epoch = 1.0"))
    with pytest.raises(RecipeError, match="epoch"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml"):
        find(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("knob", ["epochs", "learning_rate", "max_grad_norm"])
@pytest.mark.parametrize("number", ["inf", "nan"])
def test_a_knob_without_end_is_refused(tmp_path: Path, knob: str, number: str) -> None:
    path = tmp_path / "mine.toml"
    lines = SMALL.read_text().splitlines()
    path.write_text("\n".join(f"{knob} = {number}" if line.startswith(f"{knob} ") else line for line in lines))
    with pytest.raises(RecipeError, match=rf"training\.{knob} = {number}; expected a number above 0"):
        load(path)
