"""The lines with which other tools open reports and profiles, as `docs/watching.md` has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from streams.lake.lake import Lake
from streams.lake.profiles import Described, Profiler
from streams.objects.opening import Storage
from streams.reports.keys import REPORTS, SNAPSHOT
from tests.support.s3 import S3

DOCUMENT = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
VERSION = "support-0123456789ab"

pytestmark = pytest.mark.slow


def fill(storage: Storage) -> None:
    """A profile of thirty replies, and a report's snapshot."""
    from streams.reports.evidently_report import compare

    mine = Profiler(storage.objects(), Lake.of(storage), 0, 3_600_000)
    mine.resume(0)
    mine.track(Described(["support"] * 30, [VERSION] * 30, [0] * 30, range(30), np.ones((30, len(NAMES)))))
    mine.flush()
    rows = np.random.default_rng(0).standard_normal((80, 1))
    storage.objects().put_if_absent(f"{REPORTS}/ALARM{SNAPSHOT}", compare(["x"], rows.tolist(), rows.tolist()).snapshot)


def run(lines: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(lines, "docs/watching.md", "exec"), names)
    return names


def test_a_folders_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(Storage(var=tmp_path / "var"))
    monkeypatch.chdir(tmp_path)
    assert run(BLOCKS[0])["snapshot"].dict()["metrics"]
    assert run(BLOCKS[1])["view"].get_column(NAMES[0]).to_summary_dict()["counts/n"] == 30


def test_a_buckets_are_opened(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(s3.storage(tmp_path.name), tmp_path)
    fill(storage)
    monkeypatch.setenv("AWS_ENDPOINT", s3.url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    found = run(BLOCKS[2].replace("s3://bucket/prefix", storage.settings.url))
    assert found["snapshot"].dict()["metrics"]
    assert found["view"].get_column(NAMES[0]).to_summary_dict()["counts/n"] == 30
