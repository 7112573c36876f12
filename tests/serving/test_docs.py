"""What the docstrings show is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import serving

MODULES = [each.name for each in pkgutil.walk_packages(serving.__path__, "serving.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
