"""Figures with the goals of this bench's table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.bench.tools import goals

figure = partial(goals.figure, Path(__file__).with_name("goals.toml"))
