"""Readers of a lake that grows, as the bench measures them: their memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_MIB = 100  # more than before; all of the lake at once is 140 to 210


@pytest.mark.slow
def test_few_rows_of_many_take_little_memory() -> None:
    """A made lake of 20,000 replies of 2 KiB each, of which 400 are labelled."""
    command = [sys.executable, "-m", "tests.bench.streams.reading", "--replies", "20000", "--labels", "400"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = {each["part"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert {part: each["rows"] for part, each in found.items()} == {"labelled": 400, "sides": 2_000, "wanted": 8}
    assert {part: each["peak_more_mib"] for part, each in found.items() if each["peak_more_mib"] > MOST_MIB} == {}
