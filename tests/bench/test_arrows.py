"""Benches use what tests use; tests use no bench. A test that runs a bench in small stands in the bench's folder."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
BENCH = re.compile(r"\btests(\.| import )bench\b")


def test_no_test_outside_the_benches_uses_one() -> None:
    sources = (path for path in TESTS.rglob("*.py") if TESTS / "bench" not in path.parents)
    assert [str(path) for path in sources if BENCH.search(path.read_text())] == []
