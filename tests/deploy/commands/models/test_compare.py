"""`homeostat compare`, as an operator gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.toml import dump
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import recipe_file
from tests.support.tiny_model import model


def homeostat(folder: Path, *words: str) -> Result:
    path = folder / "homeostat.toml"
    retrain = {"threads": 1, "validation_share": 0.5}
    stack = {"var": str(folder / "var"), "model": str(folder / "model")}
    path.write_text(dump({"stack": stack, "retrain": retrain}))
    return CliRunner().invoke(main, ["compare", "support", *words, "--config", str(path)])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    model(folder / "model")
    rows = [{"text": f"question {number}", "label": "a"} for number in range(80)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ROWS", "--recipe", "qlora"], "1 candidates, expected at least 2"),
        (["--recipe", "qlora", "--recipe", "qlora"], "qlora: named 2 times, expected once"),
        (["ROWS", "--candidates", "none.toml"], "none.toml"),
        (["--candidates", "TWO"], "expected a file of ROWS or --dataset DIGEST, one of them"),
        (["--candidates", "TWO", "--dataset", "0" * 64], "no dataset's digest begins with '0000"),
        (["FEW", "--candidates", "TWO"], "rows to answer: 4, expected at least 20"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_trained(words: list[str], why: str, place: Path) -> None:
    (place / "few.jsonl").write_text("".join((place / "rows.jsonl").read_text().splitlines(keepends=True)[:8]))
    two = candidates(place, "http://127.0.0.1:1")
    given = {"ROWS": str(place / "rows.jsonl"), "FEW": str(place / "few.jsonl"), "TWO": str(two)}
    done = homeostat(place, *(given.get(each, each) for each in words))
    assert done.exit_code == 1
    assert why in done.output
    assert not (place / "var" / "compare").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_says_which_recipe_is_the_smallest_that_does(place: Path) -> None:
    with Engine().apart(75.0) as url:
        words = [str(place / "rows.jsonl"), "--candidates", str(candidates(place, url))]
        done = homeostat(place, *words)
        again = homeostat(place, *words, "--json")
    assert done.exit_code == 0, done.output
    assert "the smallest that does: small" in done.output
    found = json.loads(again.output[again.output.index("{") :])
    assert found["choice"]["chosen"] == "small"
    assert [each["name"] for each in found["choice"]["placings"]] == ["small", "large"]


def candidates(place: Path, engine: str) -> Path:
    """Two recipes, which differ in rank."""
    lines = []
    for name, rank in (("large", 8), ("small", 4)):
        path = recipe_file(place / name, min_steps=2, max_steps=2, r=rank)
        lines += ["[[candidate]]", f'name = "{name}"', f'recipe = "{path}"', f'engine = "{engine}"']
    (place / "candidates.toml").write_text("\n".join(lines))
    return place / "candidates.toml"
