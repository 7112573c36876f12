"""A dataset is shown in lines that a person reads."""

from __future__ import annotations

from msgspec.structs import replace

from deploy.operator.models.datasets import WIDTH, shown
from retrain.data.dataset import Dataset
from retrain.data.manifest import listed
from tests.retrain.support.rows import row


def test_times_are_dates_and_long_answers_are_cut() -> None:
    answers = ["Dear customer,\n" + "we look at it. " * 30, "refund"]
    taught = [row(i, answers[i % 2]) for i in range(20)]
    given = Dataset(taught, [], [row(30)], [row(31)], {})
    lines = list(shown(listed(given, alias="support", base_model="gemma3@0123456789ab", since_ms=1_000)))
    assert "base model gemma3@0123456789ab, fresh since 1970-01-01 00:00:01 UTC" in lines[0]
    (labels,) = [line for line in lines if line.startswith("  labels: Dear customer, we look")]
    assert len(labels) < 2 * WIDTH
    assert all("\n" not in line for line in lines)
