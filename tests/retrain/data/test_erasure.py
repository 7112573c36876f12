"""Rows go from each dataset that has them, and who knows the old digest finds what is left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from retrain.data import erasure, manifest
from retrain.data.dataset import Dataset
from streams.objects.opening import Storage
from streams.objects.tree import Trees
from tests.retrain.support.rows import rows
from tests.support.folder import in_folder
from tests.support.s3 import S3

ONE, TWO, THREE = (f"support-{'0' * 11}{name}" for name in "abc")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def trees(request: pytest.FixtureRequest, tmp_path: Path) -> Trees:
    if request.param == "folder":
        return in_folder(tmp_path)
    return Storage(request.getfixturevalue("s3").storage(tmp_path.name), tmp_path).trees(5.0)


def theirs(id: str, client: str, chat: str, time_ms: int) -> bool:
    return client == "client-3"


def rewrite(trees: Trees, plan: erasure.RewrittenDataset, theirs: erasure.Theirs) -> None:
    erasure.rewrite(trees, plan, theirs, erasure.users(trees))


def stored(trees: Trees, version: str, *, judged: bool = False, parent: str | None = "") -> str:
    """A dataset of rows of nine clients, among which one is erased."""
    mixed, other = rows(27), rows(20, first=100, client="client-0")
    made = Dataset(other, [], mixed, [], {"stale": 2}) if judged else Dataset(mixed, [], other, [], {"stale": 2})
    digest = manifest.store(trees, made, alias="support", base_model="base", since_ms=5).digest
    manifest.remember(trees, version, digest, parent)
    return digest


def test_a_dataset_is_written_again_without_the_rows(trees: Trees) -> None:
    old = stored(trees, ONE, parent=None)
    (plan,) = erasure.holding(trees, theirs).plans
    assert plan.old == old
    assert (plan.rows, plan.lessons, erasure.users(trees)) == (3, 3, {old: [ONE]})
    rewrite(trees, plan, theirs)
    left = manifest.trained_on(trees, ONE)
    assert {row.id for row in left} == {row.id for row in rows(27) if row.client != "client-3"}
    assert manifest.load(trees, old)[0] == manifest.load(trees, plan.new)[0]
    assert manifest.load(trees, old)[0].dropped == {"stale": 2, "forgotten": 3}
    assert (trees.digests("datasets"), manifest.noted(trees, ONE)) == ([plan.new], (plan.new, None))
    assert erasure.holding(trees, theirs).plans == []
    rewrite(trees, plan, theirs)
    assert trees.digests("datasets") == [plan.new]


def test_rows_that_were_judged_on_are_no_lessons(trees: Trees) -> None:
    plan = erasure.planned(trees, stored(trees, ONE, judged=True), theirs)
    assert (plan.rows, plan.lessons) == (3, 0)


def test_a_version_that_began_from_one_that_saw_them_has_seen_them_too(trees: Trees) -> None:
    for version, parent in ((ONE, ""), (TWO, ONE), (THREE, TWO), ("support-00000000000f", "")):
        manifest.remember(trees, version, "0" * 64, parent)
    assert erasure.descended(trees, {ONE}) == [TWO, THREE]


def test_two_erasures_lead_on_from_the_first_digest(trees: Trees) -> None:
    old = stored(trees, ONE)
    rewrite(trees, erasure.planned(trees, old, theirs), theirs)
    (middle,) = trees.digests("datasets")
    other = erasure.planned(trees, middle, lambda id, client, chat, time_ms: client == "client-4")
    rewrite(trees, other, lambda id, client, chat, time_ms: client == "client-4")
    assert manifest.current(trees, old) == other.new
    assert {row.client for row in manifest.load(trees, old)[1].train} == {f"client-{i}" for i in (0, 1, 2, 5, 6, 7, 8)}
    assert manifest.familiar(trees, "support", ONE, 10)


def test_what_a_killed_deletion_left_is_no_dataset_and_goes(trees: Trees) -> None:
    """The old one is still there, whole or half, when those who know it are led on already."""
    old = stored(trees, ONE)
    plan = erasure.planned(trees, old, theirs)
    known, dataset = manifest.load(trees, old)
    left = Dataset([row for row in dataset.train if row.client != "client-3"], [], dataset.validation, [], {})
    manifest.store(trees, left, alias="support", base_model="base", since_ms=known.since_ms)
    manifest.supersede(trees, old, plan.new)
    assert erasure.holding(trees, theirs).plans == []
    rewrite(trees, plan, theirs)
    assert trees.digests("datasets") == [plan.new]


@pytest.mark.parametrize("damaged", ["train.parquet", "regression.parquet", "manifest.json"])
def test_a_dataset_that_cannot_be_read_ends_no_erasure_and_is_named(tmp_path: Path, damaged: str) -> None:
    trees = in_folder(tmp_path)
    old = stored(trees, ONE)
    (trees.home / "datasets" / old / damaged).write_bytes(b"")
    other = manifest.store(trees, Dataset(rows(9), [], [], [], {}), alias="a", base_model="b", since_ms=0).digest
    found = erasure.holding(trees, theirs)
    assert ([plan.old for plan in found.plans], found.unread) == ([other], [old])


def test_a_file_that_this_machine_cannot_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = in_folder(tmp_path)
    stored(trees, ONE)

    def refused(path: Path, theirs: erasure.Theirs) -> bool:
        raise PermissionError(13, "not for you", str(path))

    monkeypatch.setattr(erasure, "_has", refused)
    with pytest.raises(PermissionError, match="not for you"):
        erasure.holding(trees, theirs)


def test_where_another_order_was_quicker_versions_have_what_that_left(trees: Trees) -> None:
    old = stored(trees, ONE)
    late = erasure.planned(trees, old, lambda id, client, chat, time_ms: client == "client-4")
    rewrite(trees, erasure.planned(trees, old, theirs), theirs)
    left = manifest.current(trees, old)
    manifest.remember(trees, TWO, old)  # by a training that was under way
    rewrite(trees, late, lambda id, client, chat, time_ms: client == "client-4")
    assert manifest.noted(trees, TWO)[0] == left


def test_what_a_killed_writer_left_goes_after_a_day(tmp_path: Path) -> None:
    trees = in_folder(tmp_path)
    stored(trees, ONE)
    for name, age_s in ((".new-old", 100_000), (".new-young", 10)):
        made = trees.home / "datasets" / name
        made.mkdir()
        os.utime(made, (time.time() - age_s,) * 2)
    erasure.sweep(trees, time.time())
    assert [path.name for path in (trees.home / "datasets").glob(".new-*")] == [".new-young"]


@pytest.mark.slow
def test_another_machines_copy_goes_when_it_is_asked_for_or_swept(s3: S3, tmp_path: Path) -> None:
    one, two = (Storage(s3.storage(tmp_path.name), tmp_path / name).trees(5.0) for name in ("one", "two"))
    old = stored(one, ONE)
    copy = two.fetch(f"datasets/{old}")
    rewrite(one, erasure.planned(one, old, theirs), theirs)
    assert copy.is_dir()
    manifest.swept(two)
    assert not copy.is_dir()
    assert len(manifest.load(two, old)[1].train) == 24
    assert [key for key in one.store.list("datasets") if old in key] == [f"datasets/rewritten/{old}"]


def test_who_was_judged_on_another_dataset_is_known_by_each_digest_that_it_had(trees: Trees) -> None:
    digest = manifest.store(
        trees, Dataset([], [], rows(27), [], {}), alias="support", base_model="base", since_ms=5
    ).digest
    for version in (TWO, ONE, TWO):
        manifest.remember_judged(trees, version, digest)
    plan = erasure.planned(trees, digest, theirs)
    assert plan.old == digest
    rewrite(trees, plan, theirs)
    assert erasure.judged(trees) == {digest: [ONE, TWO], plan.new: [ONE, TWO]}
    assert trees.digests("datasets") == [plan.new]
