"""What may be compared, and what is said where it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.choice.candidates import Contender, checked, read_candidates

MODEL, ENGINE = Path("/models/base"), "http://engine/"


def test_candidates_are_on_the_stacks_base_and_engine_unless_they_name_their_own(tmp_path: Path) -> None:
    path = tmp_path / "candidates.toml"
    path.write_text(
        '[[candidate]]\nname = "a"\nrecipe = "qlora"\n\n'
        '[[candidate]]\nname = "b"\nrecipe = "qlora"\nmodel = "/models/small"\nengine = "http://small:8000"\n'
    )
    found = checked(read_candidates(path), MODEL, ENGINE)
    assert [(each.model, each.engine) for each in found] == [
        ("/models/base", "http://engine"),
        ("/models/small", "http://small:8000"),
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([Contender(name="a", recipe="qlora")], "1 candidates, expected at least 2"),
        ([Contender(name="a", recipe="qlora")] * 2, "a: named 2 times"),
        ([Contender(name="a b", recipe="qlora")], "name: expected lower-case"),
        ([Contender(name="a", recipe="none.toml")], r"none\.toml.*cannot be read"),
        ([Contender(name="a", recipe="qlora", model="/models/other")], "is not the stack's .*: give `engine`"),
    ],
)
def test_what_cannot_be_compared_is_named(given: list[Contender], why: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){why}"):
        checked(given, MODEL, ENGINE)


@pytest.mark.parametrize("text", ["", "[[candidate]]\nname = 'a'", "[[candidate]]\nrank = 8", "candidate"])
def test_a_file_of_candidates_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "candidates.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"candidates\.toml: .*expected \[\[candidate\]\] tables"):
        read_candidates(path)
