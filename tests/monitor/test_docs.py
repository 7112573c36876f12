"""What the docstrings show is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import monitor

HEAVY = {"monitor.profile", "monitor.report"}
MODULES = [each.name for each in pkgutil.walk_packages(monitor.__path__, "monitor.") if each.name not in HEAVY]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
