from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["intervals", "plan", "replay", "report", "rows", "timeline"])
def test_the_examples_in_the_docstrings_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"deploy.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
