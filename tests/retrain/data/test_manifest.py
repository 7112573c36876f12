"""A dataset is what its digest says, or it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.manifest import Manifest
from streams.objects import store as objects
from streams.objects.opening import Storage
from streams.objects.store import StorageError
from streams.objects.tree import Trees
from tests.retrain.support.rows import row, rows
from tests.support.folder import in_folder
from tests.support.s3 import DENIED, S3


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def trees(request: pytest.FixtureRequest, tmp_path: Path) -> Trees:
    if request.param == "folder":
        return in_folder(tmp_path)
    return Storage(request.getfixturevalue("s3").storage(tmp_path.name), tmp_path).trees(5.0)


def dataset(labels: str = "ab") -> Dataset:
    return Dataset(
        rows(10, labels),
        rows(6, labels, first=30),
        rows(4, labels, first=50),
        rows(3, labels, first=80),
        {"exact duplicate": 2},
    )


def store(trees: Trees, labels: str = "ab") -> Manifest:
    return manifest.store(trees, dataset(labels), alias="support", base_model="base", since_ms=5)


def test_it_comes_back_as_it_was(trees: Trees) -> None:
    listed = store(trees)
    found, back = manifest.load(trees, listed.digest)
    assert (found, back) == (listed, dataset())
    assert found.parts["train"].labels == {"a": 5, "b": 5}


def test_the_same_rows_are_the_same_dataset(trees: Trees) -> None:
    assert store(trees) == store(trees)
    assert len(trees.digests("datasets")) == 1
    assert store(trees, "ac").digest != store(trees).digest


def test_free_text_is_not_listed_as_labels(trees: Trees) -> None:
    made = Dataset([row(i, f"answer {i}") for i in range(10)], [], [], [], {})
    listed = manifest.store(trees, made, alias="support", base_model="base", since_ms=5)
    assert (listed.parts["train"].rows, listed.parts["train"].labels) == (10, {})


def test_there_is_never_half_of_one(trees: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="no space"):
        store(trees)
    assert [path for path in (trees.home / "datasets").iterdir() if not path.name.startswith(".")] == []


def test_a_version_remembers_its_rows(trees: Trees) -> None:
    manifest.remember(trees, "support-0123456789ab", store(trees).digest)
    assert manifest.trained_on(trees, "support-0123456789ab") == [*rows(10), *rows(6, first=30)]
    assert manifest.trained_on(trees, "support-ffffffffffff") == []


def lineage(trees: Trees, *, parents: bool) -> None:
    """Three generations with 23 rows of their own each, and a candidate that nothing came of."""
    versions = ["support-00000000000a", "support-00000000000b", "support-00000000000c"]
    for at, version in enumerate(versions):
        train, rehearsal, judged, old = (rows(n, first=1000 * at + 100 * i) for i, n in enumerate((10, 6, 4, 3)))
        made = Dataset(train, rehearsal, judged, old, {})
        listed = manifest.store(trees, made, alias="support", base_model="base", since_ms=at)
        parent = versions[at - 1] if at else ""
        manifest.remember(trees, version, listed.digest, parent)
        if not parents:
            objects.replace(trees.store, f"datasets/versions/{version}", listed.digest.encode())
    refused = Dataset(rows(5, first=9000), [], [], [], {})
    listed = manifest.store(trees, refused, alias="support", base_model="base", since_ms=3)
    manifest.remember(trees, "support-0000000000ff", listed.digest, versions[-1])


def test_what_any_ancestor_was_trained_or_judged_on_is_familiar(trees: Trees) -> None:
    lineage(trees, parents=True)
    found = {row.id for row in manifest.familiar(trees, "support", "support-00000000000c", 10)}
    parts = [*zip((10, 6, 4, 3), (0, 100, 200, 300), strict=True)]
    assert found == {f"id-{1000 * at + first + i}" for at in range(3) for count, first in parts for i in range(count)}
    assert len(manifest.familiar(trees, "support", "support-00000000000a", 10)) == 23
    assert manifest.familiar(trees, "support", "support-eeeeeeeeeeee", 10) == []


def test_rows_that_were_labelled_meanwhile_and_judged_on_are_familiar_too(trees: Trees) -> None:
    lineage(trees, parents=True)
    meanwhile = Dataset([], [], rows(7, first=8000), [], {})
    manifest.store(trees, meanwhile, alias="support", base_model="base", since_ms=1)
    assert len(manifest.familiar(trees, "support", "support-00000000000c", 10)) == 3 * 23 + 7


def test_where_no_parent_was_noted_all_of_the_alias_is_familiar(trees: Trees) -> None:
    lineage(trees, parents=False)
    other = Dataset(rows(5, first=20_000), [], [], [], {})
    manifest.store(trees, other, alias="other", base_model="base", since_ms=0)
    assert len(manifest.familiar(trees, "support", "support-00000000000c", 10)) == 3 * 23 + 5
    assert len(manifest.trained_on(trees, "support-00000000000c")) == 16


@pytest.mark.parametrize("parents", [True, False])
def test_an_earlier_attempt_at_the_same_harm_makes_nothing_familiar(trees: Trees, parents: bool) -> None:
    lineage(trees, parents=parents)
    assert len(manifest.familiar(trees, "support", "support-00000000000c", 3)) == 3 * 23


def test_a_version_that_began_from_itself_ends_the_search(trees: Trees) -> None:
    manifest.remember(trees, "support-0123456789ab", store(trees).digest, "support-0123456789ab")
    assert len(manifest.familiar(trees, "support", "support-0123456789ab", 10)) == 23


@pytest.mark.parametrize("name", ["manifest.json", "train.parquet"])
@pytest.mark.parametrize("left", [0, 20])
def test_what_a_crash_left_of_a_dataset_ends_no_retraining(trees: Trees, name: str, left: int) -> None:
    """A power cut leaves files that are there and empty: every later retraining of every alias failed."""
    lineage(trees, parents=True)
    listed = store(trees)
    manifest.remember(trees, "support-0000000000aa", listed.digest)
    spoiled = trees.home / "datasets" / listed.digest / name
    spoiled.write_bytes(spoiled.read_bytes()[:left])
    with pytest.raises(ValueError, match=f"dataset {listed.digest}: its files in .* are damaged"):
        manifest.load(trees, listed.digest)
    assert manifest.trained_on(trees, "support-0000000000aa") == []
    assert manifest.familiar(trees, "support", "support-0000000000aa", 10) == []
    assert len(manifest.familiar(trees, "support", "support-00000000000c", 10)) == 3 * 23
    assert store(trees) == listed
    assert manifest.load(trees, listed.digest) == (listed, dataset())


def test_a_store_that_is_away_is_no_missing_dataset(s3: S3, tmp_path: Path) -> None:
    """Taken as missing, it would train without the rows that must not be forgotten, and judge on rows met before."""
    trainer = Storage(s3.storage(tmp_path.name), tmp_path / "trainer").trees(5.0)
    manifest.remember(trainer, "support-0123456789ab", store(trainer).digest)
    other = Storage(s3.storage(tmp_path.name), tmp_path / "another").trees(0.3)
    s3.for_ever = DENIED
    for act in (
        lambda: manifest.trained_on(other, "support-0123456789ab"),
        lambda: manifest.familiar(other, "support", "support-0123456789ab", 10),
        lambda: store(other),
    ):
        with pytest.raises(StorageError, match="AccessDenied"):
            act()
    s3.for_ever, s3.refusals = None, [None, DENIED]
    with pytest.raises(StorageError, match="AccessDenied"):
        manifest.trained_on(other, "support-0123456789ab")
    assert len(manifest.familiar(other, "support", "support-0123456789ab", 10)) == 23
