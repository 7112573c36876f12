"""A dataset is what its digest says, or it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.manifest import Manifest
from tests.retrain.support.rows import row, rows


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


def test_the_same_rows_are_the_same_dataset(tmp_path: Path) -> None:
    assert store(tmp_path) == store(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert store(tmp_path, "ac").digest != store(tmp_path).digest


def test_free_text_is_not_listed_as_labels(tmp_path: Path) -> None:
    made = Dataset([row(i, f"answer {i}") for i in range(10)], [], [], [], {})
    listed = manifest.store(tmp_path, made, alias="support", base_model="base", since_ms=5)
    assert (listed.parts["train"].rows, listed.parts["train"].labels) == (10, {})


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


def lineage(root: Path, *, parents: bool) -> None:
    """Three generations with 23 rows of their own each, and a candidate that nothing came of."""
    versions = ["support-00000000000a", "support-00000000000b", "support-00000000000c"]
    for at, version in enumerate(versions):
        train, rehearsal, judged, old = (rows(n, first=1000 * at + 100 * i) for i, n in enumerate((10, 6, 4, 3)))
        made = Dataset(train, rehearsal, judged, old, {})
        listed = manifest.store(root, made, alias="support", base_model="base", since_ms=at)
        parent = versions[at - 1] if at else ""
        manifest.remember(root, version, listed.digest, parent)
        if not parents:
            (root / "versions" / version).write_text(listed.digest)
    refused = Dataset(rows(5, first=9000), [], [], [], {})
    listed = manifest.store(root, refused, alias="support", base_model="base", since_ms=3)
    manifest.remember(root, "support-0000000000ff", listed.digest, versions[-1])


def test_what_any_ancestor_was_trained_or_judged_on_is_familiar(tmp_path: Path) -> None:
    lineage(tmp_path, parents=True)
    found = {row.id for row in manifest.familiar(tmp_path, "support", "support-00000000000c", 10)}
    parts = [*zip((10, 6, 4, 3), (0, 100, 200, 300), strict=True)]
    assert found == {f"id-{1000 * at + first + i}" for at in range(3) for count, first in parts for i in range(count)}
    assert len(manifest.familiar(tmp_path, "support", "support-00000000000a", 10)) == 23
    assert manifest.familiar(tmp_path, "support", "support-eeeeeeeeeeee", 10) == []


def test_rows_that_were_labelled_meanwhile_and_judged_on_are_familiar_too(tmp_path: Path) -> None:
    lineage(tmp_path, parents=True)
    meanwhile = Dataset([], [], rows(7, first=8000), [], {})
    manifest.store(tmp_path, meanwhile, alias="support", base_model="base", since_ms=1)
    assert len(manifest.familiar(tmp_path, "support", "support-00000000000c", 10)) == 3 * 23 + 7


def test_where_no_parent_was_noted_all_of_the_alias_is_familiar(tmp_path: Path) -> None:
    lineage(tmp_path, parents=False)
    other = Dataset(rows(5, first=20_000), [], [], [], {})
    manifest.store(tmp_path, other, alias="other", base_model="base", since_ms=0)
    assert len(manifest.familiar(tmp_path, "support", "support-00000000000c", 10)) == 3 * 23 + 5
    assert len(manifest.trained_on(tmp_path, "support-00000000000c")) == 16


@pytest.mark.parametrize("parents", [True, False])
def test_an_earlier_attempt_at_the_same_harm_makes_nothing_familiar(tmp_path: Path, parents: bool) -> None:
    lineage(tmp_path, parents=parents)
    assert len(manifest.familiar(tmp_path, "support", "support-00000000000c", 3)) == 3 * 23


def test_a_version_that_began_from_itself_ends_the_search(tmp_path: Path) -> None:
    manifest.remember(tmp_path, "support-0123456789ab", store(tmp_path).digest, "support-0123456789ab")
    assert len(manifest.familiar(tmp_path, "support", "support-0123456789ab", 10)) == 23


@pytest.mark.parametrize("name", ["manifest.json", "train.parquet"])
@pytest.mark.parametrize("left", [0, 20])
def test_what_a_crash_left_of_a_dataset_ends_no_retraining(tmp_path: Path, name: str, left: int) -> None:
    """A power cut leaves files that are there and empty: every later retraining of every alias failed."""
    lineage(tmp_path, parents=True)
    listed = store(tmp_path)
    manifest.remember(tmp_path, "support-0000000000aa", listed.digest)
    spoiled = tmp_path / listed.digest / name
    spoiled.write_bytes(spoiled.read_bytes()[:left])
    assert manifest.trained_on(tmp_path, "support-0000000000aa") == []
    assert manifest.familiar(tmp_path, "support", "support-0000000000aa", 10) == []
    assert len(manifest.familiar(tmp_path, "support", "support-00000000000c", 10)) == 3 * 23
    assert store(tmp_path) == listed
    assert manifest.load(tmp_path, listed.digest) == (listed, dataset())
