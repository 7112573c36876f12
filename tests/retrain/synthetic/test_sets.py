"""Sets of synthetic rows in the store: listed, withdrawn, and rid of whom an erasure names."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.data import erasure, manifest
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.synthetic import sets
from retrain.synthetic.prompts import made
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from tests.retrain.support.tickets import tickets

REAL = tickets(1, 60)
ROWS = [made(row, f"{row.text} Please!", row.completion, "m") for row in REAL]


@pytest.fixture(params=["folder", "bucket"])
def trees(tmp_path: Path, request: pytest.FixtureRequest) -> Trees:
    url = f"file://{tmp_path}/bucket" if request.param == "bucket" else ""
    return Storage(StorageSettings(url=url), tmp_path / "var").trees(5.0)


def erased(trees: Trees, id: str) -> list[Example]:
    def theirs(about: str, client: str, chat: str, time_ms: int) -> bool:
        return about == id

    for plan in erasure.holding(trees, theirs).plans:
        erasure.rewrite(trees, plan, theirs, {})
    return sets.rows(trees, "support")


def test_rows_of_all_sets_come_back_once(trees: Trees) -> None:
    one = sets.store(trees, "support", ROWS[:40], {"repeats": 3, "none": 0})
    sets.store(trees, "support", ROWS[20:], {})
    sets.store(trees, "support-eu", ROWS[:5], {})
    assert sorted(row.id for row in sets.rows(trees, "support")) == sorted(row.id for row in ROWS)
    assert sets.store(trees, "support", ROWS[:40], {"repeats": 3}).digest == one.digest
    assert len(sets.listed(trees, "support")) == 2
    assert (one.dropped, one.parts["synthetic"].origins) == ({"repeats": 3}, {"m": 40})


def test_a_set_that_is_withdrawn_is_taught_no_more(trees: Trees) -> None:
    digest = sets.store(trees, "support", ROWS[:40], {}).digest
    with pytest.raises(LookupError, match="'ffff' begins 0 sets of synthetic rows of support, expected one"):
        sets.withdraw(trees, "support", "ffff")
    assert sets.withdraw(trees, "support", digest[:9]) == digest
    assert sets.rows(trees, "support") == []


def test_who_is_forgotten_takes_the_rows_along_that_were_made_from_theirs(trees: Trees) -> None:
    sets.store(trees, "support", ROWS[:40], {})
    whole = Dataset(REAL[1:30], [], REAL[40:50], [], {}, [], ROWS[:30])
    digest = manifest.store(trees, whole, alias="support", base_model="base", since_ms=5).digest
    assert REAL[0].id not in {row.about for row in erased(trees, REAL[0].id)}
    left = manifest.load(trees, digest)[1]
    assert len(left.synthetic) == 29
    assert erased(trees, REAL[3].id)
    assert len(sets.rows(trees, "support")) == 38
    current = sets.listed(trees, "support")[0].digest
    assert sets.withdraw(trees, "support", current[:12]) == current
