from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.log.chunks import LARGE, Chunk, ReadProgress, size
from streams.log.read import Raw


@pytest.mark.slow
@given(st.data(), st.sets(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 50))
def test_what_may_be_committed_ends_at_the_first_hole(data: st.DataObject, cuts: set[int], first: int) -> None:
    edges = [first, *(first + cut for cut in sorted(cuts))]
    done = data.draw(st.lists(st.sampled_from(list(pairwise(edges))), unique=True))
    progress = ReadProgress[str]()
    progress.begin("p", first)
    for begin, end in done:
        progress.done("p", begin, end)
    reached = next((begin for begin, end in pairwise(edges) if (begin, end) not in done), edges[-1])
    assert progress.position("p") == (reached if reached > first else None)


def test_what_was_read_again_and_cut_differently_counts_once() -> None:
    progress = ReadProgress[str]()
    progress.begin("p", 10)
    progress.done("p", 10, 30)
    progress.done("p", 10, 20)
    progress.done("p", 20, 40)
    assert progress.position("p") == 40


def test_what_was_taken_away_is_never_committed() -> None:
    progress = ReadProgress[str]()
    progress.begin("p", 0)
    progress.begin("q", 0)
    progress.forget(["p"])
    progress.done("p", 0, 10)
    assert progress.position("p") is None
    assert progress.places() == ["q"]
    progress.begin("p", 4)  # it comes back: what is late may be ahead of it
    progress.done("p", 7, 10)
    assert progress.position("p") is None
    progress.done("p", 4, 7)
    assert progress.position("p") == 10


def test_a_chunk_is_as_new_as_its_last_record() -> None:
    records = [Raw(0, 5, 70, None, b"a"), Raw(0, 7, 90, None, bytes(LARGE))]
    assert Chunk("t", 0, 5, 8, records, size(records), 1).newest_ms == 90
    assert size(records) == 3
