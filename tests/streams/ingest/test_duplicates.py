from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest.duplicates import RecentIds

LOGS = st.lists(st.sampled_from("abcdef"), max_size=60)


def answers(ids: list[str], span: int, first: int = 0) -> list[bool]:
    """What a worker that starts at `first` says of every id from there on."""
    recent = RecentIds(span)
    recent.recall((ids[i], i) for i in range(max(0, first - span), min(first, len(ids))))
    return [recent.repeated(id, offset) for offset, id in enumerate(ids) if offset >= first]


@given(LOGS, st.integers(1, 20), st.integers(0, 60))
def test_where_a_worker_starts_changes_no_answer(ids: list[str], span: int, first: int) -> None:
    assert answers(ids, span, first) == answers(ids, span)[first:]


@pytest.mark.slow
@given(LOGS, st.integers(1, 20))
def test_an_id_is_repeated_exactly_when_it_came_within_the_span(ids: list[str], span: int) -> None:
    assert answers(ids, span) == [id in ids[max(0, i - span) : i] for i, id in enumerate(ids)]


@given(LOGS, st.integers(1, 20))
def test_asking_a_batch_twice_gives_the_same_where_ids_are_single(ids: list[str], span: int) -> None:
    recent = RecentIds(span)
    single = list(dict.fromkeys(ids))
    for _ in range(2):
        assert not any(recent.repeated(id, offset) for offset, id in enumerate(single))


@given(st.integers(1, 30))
def test_memory_is_bounded_by_the_span(span: int) -> None:
    recent = RecentIds(span)
    for offset in range(200):
        recent.repeated(str(offset), offset)
    assert len(recent) <= 2 * span + 1
