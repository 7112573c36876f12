from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> ModuleType:
    """Evidently takes seconds to import."""
    from streams.reports import evidently_report

    return evidently_report


def test_the_report_shows_each_descriptor(report: ModuleType) -> None:
    rows = np.random.default_rng(0).standard_normal((80, 2))
    found = report.compare(["prompt_chars", "constant"], (rows * [1, 0]).tolist(), (rows * [3, 0]).tolist())
    assert b"prompt_chars" in found.page
    assert b"constant" in found.page


def test_evidentlys_own_loader_reads_the_snapshot(report: ModuleType) -> None:
    from evidently.core.report import Snapshot

    rows = np.random.default_rng(0).standard_normal((80, 1))
    found = report.compare(["x"], rows.tolist(), (rows * 3 + 1).tolist(), "<p>seen first</p>")
    loaded = Snapshot.loads(found.snapshot.decode())
    drifted = [each for each in loaded.dict()["metrics"] if "x" in str(each)]
    assert drifted
    assert b"<body><p>seen first</p>" in found.page


def test_without_rows_there_is_nothing_to_compare(report: ModuleType) -> None:
    with pytest.raises(ValueError, match="current has no rows"):
        report.compare(["x"], [[1.0]], [])
