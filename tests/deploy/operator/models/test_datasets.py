"""A dataset is shown in lines that a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.operator.models.datasets import WIDTH, found, shown
from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.manifest import listed
from tests.retrain.support.rows import row, rows
from tests.support.folder import in_folder


def test_times_are_dates_and_long_answers_are_cut() -> None:
    answers = ["Dear customer,\n" + "we look at it. " * 30, "refund"]
    taught = [row(i, answers[i % 2]) for i in range(20)]
    given = Dataset(taught, [], [row(30)], [row(31)], {})
    lines = list(shown(listed(given, alias="support", base_model="gemma3@0123456789ab", since_ms=1_000)))
    assert "base model gemma3@0123456789ab, fresh since 1970-01-01 00:00:01 UTC" in lines[0]
    (labels,) = [line for line in lines if line.startswith("  labels: Dear customer, we look")]
    assert len(labels) < 2 * WIDTH
    assert all("\n" not in line for line in lines)


def test_who_knows_the_digest_of_before_an_erasure_is_led_to_what_is_left(tmp_path: Path) -> None:
    trees = in_folder(tmp_path)
    old, new = (
        manifest.store(
            trees, Dataset(rows(count), [], [row(90)], [row(91)], {}), alias="support", base_model="b", since_ms=0
        ).digest
        for count in (4, 3)
    )
    trees.delete(manifest.dataset_key(old))
    manifest.supersede(trees, old, new)
    for name in (old, old[:12], new):
        assert found(trees, name)[0].digest == new
    with pytest.raises(LookupError, match="no dataset's digest begins with 'x', expected"):
        found(trees, "x")
