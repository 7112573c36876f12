"""A dataset is what its digest says, or it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain import manifest
from retrain.dataset import Dataset
from retrain.manifest import Manifest
from tests.retrain.rows import rows


def dataset(labels: str = "ab") -> Dataset:
    return Dataset(
        rows(10, labels),
        rows(6, labels, first=30),
        rows(4, labels, first=50),
        rows(3, labels, first=80),
        {"exact duplicate": 2},
    )


def store(root: Path, labels: str = "ab") -> Manifest:
    return manifest.store(root, dataset(labels), alias="support", base_model="base", since_ms=5)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    listed = store(tmp_path)
    found, back = manifest.load(tmp_path, listed.digest)
    assert (found, back) == (listed, dataset())
    assert found.parts["train"].labels == {"a": 5, "b": 5}
    assert found.synthetic_share == 0.0


def test_the_same_rows_are_the_same_dataset(tmp_path: Path) -> None:
    assert store(tmp_path) == store(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert store(tmp_path, "ac").digest != store(tmp_path).digest


def test_there_is_never_half_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="no space"):
        store(tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_a_version_remembers_its_rows(tmp_path: Path) -> None:
    manifest.remember(tmp_path, "support-0123456789ab", store(tmp_path).digest)
    assert manifest.trained_on(tmp_path, "support-0123456789ab") == [*rows(10), *rows(6, first=30)]
    assert manifest.trained_on(tmp_path, "support-ffffffffffff") == []
