"""How a demo shares out its rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.shares import MEASURED, MIN_AFTER, MIN_BEFORE, share_rows

ROWS = st.integers(MIN_BEFORE, 50_000)


@given(ROWS, st.integers(MIN_AFTER, 50_000), st.floats(0.1, 1.0))
def test_every_accuracy_can_be_measured(before: int, after: int, share: float) -> None:
    shares = share_rows(before, after, share)
    assert shares.champion + shares.healthy == before
    assert shares.healthy >= MEASURED
    assert shares.reference_events <= shares.healthy
    assert shares.reserve >= MEASURED
    labelled_at = shares.min_fresh_labels / share
    assert shares.min_fresh_labels >= 30
    assert labelled_at <= max(0.41 * after, 30 / share)


@pytest.mark.parametrize(("before", "after", "named"), [(10, 1000, "before"), (1000, 10, "after")])
def test_too_few_rows_are_refused_by_name(before: int, after: int, named: str) -> None:
    with pytest.raises(ValueError, match=rf"{named}\.jsonl: 10 rows, expected at least"):
        share_rows(before, after, 0.5)
