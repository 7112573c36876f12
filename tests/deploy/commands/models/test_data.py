"""`homeostat data`: what a dataset holds, what changed, and who decides on labels that are not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.toml import dump
from retrain.data import manifest
from retrain.data.agreement import settlements
from retrain.data.agreement.quarantine import ALONE, Settled
from retrain.data.dataset import Dataset
from retrain.data.manifest import Manifest
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from tests.retrain.support.rows import row, rows


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Storage(StorageSettings(), tmp_path / "var").trees(5.0)


def put(trees: Trees, count: int = 10) -> Manifest:
    out = [row(90 + i, quarantined=ALONE, client="app/flood" if i else "app/ann") for i in range(3)]
    made = Dataset(rows(count, tags={"licence": "own"}), rows(6, first=30), rows(4, first=50), [], {"other": 2}, out)
    return manifest.store(trees, made, alias="support", base_model="base", since_ms=5)


def homeostat(tmp_path: Path, *words: str) -> Result:
    path = tmp_path / "homeostat.toml"
    path.write_text(dump({"stack": {"var": str(tmp_path / "var"), "embedded_kafka": False}}))
    return CliRunner().invoke(main, ["data", *words, "--config", str(path)])


def test_it_shows_counts_and_what_was_left_out_by_digest_and_by_version(trees: Trees, tmp_path: Path) -> None:
    listed = put(trees)
    manifest.remember(trees, "support-0123456789ab", listed.digest)
    shown = homeostat(tmp_path, "show", listed.digest[:8])
    assert shown.output == homeostat(tmp_path, "show", "support-0123456789ab").output
    for line in ("train: 10 rows of 9 clients", "labels: a 5, b 5", "tags: licence=own 10", "left out: other 2"):
        assert line in shown.output
    assert json.loads(homeostat(tmp_path, "show", listed.digest, "--json").output)["digest"] == listed.digest


def test_a_difference_is_named_and_none_is_none(trees: Trees, tmp_path: Path) -> None:
    one, other = put(trees), put(trees, 12)
    same, changed = (homeostat(tmp_path, "diff", one.digest, each.digest) for each in (one, other))
    assert (same.exit_code, changed.exit_code) == (0, 1)
    assert "train: 2 rows more, 0 less\n  + a 1, b 1" in changed.output


def test_rows_in_quarantine_are_listed_and_decided_on(trees: Trees, tmp_path: Path) -> None:
    digest = put(trees).digest
    listed = homeostat(tmp_path, "quarantine", digest)
    assert listed.output.count(ALONE) == 3
    assert (
        homeostat(tmp_path, "quarantine", digest, "--release", "id-90", "--uphold", "client:app/flood").exit_code == 0
    )
    assert settlements.settled(trees, "support") == Settled(frozenset({"id-90"}), frozenset({"id-91", "id-92"}))
    homeostat(tmp_path, "quarantine", digest, "--uphold", "id-90")
    assert settlements.settled(trees, "support").released == frozenset()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "ffff"], "no dataset's digest begins with 'ffff'"),
        (["show", ""], "no dataset's digest begins with ''"),
        (["show", "support-ffffffffffff"], "no dataset of this version is recorded"),
        (["quarantine", "DIGEST", "--release", "id-1"], "id-1: no such row in quarantine"),
        (["quarantine", "DIGEST", "--release", "client:nobody"], "client:nobody: no such row"),
        (["quarantine", "DIGEST", "--release", "id-90", "--uphold", "id-90"], "released and upheld at once"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_is_written(
    trees: Trees, tmp_path: Path, words: list[str], said: str
) -> None:
    digest = put(trees).digest
    done = homeostat(tmp_path, *[digest if word == "DIGEST" else word for word in words])
    assert done.exit_code != 0
    assert said in done.output
    assert settlements.settled(trees, "support") == Settled()
