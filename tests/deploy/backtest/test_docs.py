from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from deploy import backtest


@pytest.mark.parametrize("name", [each.name for each in pkgutil.iter_modules(backtest.__path__)])
def test_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"deploy.backtest.{name}")).failed == 0
