from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> ModuleType:
    """Evidently takes seconds to import."""
    from streams.reports import evidently_report

    return evidently_report


def test_the_report_shows_each_descriptor(report: ModuleType, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((80, 2))
    path = report.write(
        ["prompt_chars", "constant"], (rows * [1, 0]).tolist(), (rows * [3, 0]).tolist(), tmp_path / "r.html"
    )
    text = path.read_text()
    assert "prompt_chars" in text
    assert "constant" in text
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r.html", "r.json"]


def test_evidentlys_own_loader_reads_the_snapshot(report: ModuleType, tmp_path: Path) -> None:
    from evidently.core.report import Snapshot

    rows = np.random.default_rng(0).standard_normal((80, 1))
    report.write(["x"], rows.tolist(), (rows * 3 + 1).tolist(), tmp_path / "r.html", "<p>seen first</p>")
    loaded = Snapshot.load(tmp_path / "r.json")
    drifted = [each for each in loaded.dict()["metrics"] if "x" in str(each)]
    assert drifted
    assert "<body><p>seen first</p>" in (tmp_path / "r.html").read_text()


def test_without_rows_there_is_nothing_to_compare(report: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="current has no rows"):
        report.write(["x"], [[1.0]], [], tmp_path / "r.html")
