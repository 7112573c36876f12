"""What the docstrings show is true: every example of every room runs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("monitor", "streams", "serving", "retrain", "dashboards", "deploy")


def modules() -> list[str]:
    """The modules with an example in them: the others need not be imported."""
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", modules())
def test_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_every_room_but_the_dashboards_shows_examples() -> None:
    assert {name.partition(".")[0] for name in modules()} >= set(ROOMS) - {"dashboards"}
