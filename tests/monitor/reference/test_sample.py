from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors.blocks import LENGTHS
from monitor.reference.sample import STRETCH, ReferenceSample, gather

EVENTS = 3_000


def gathered(
    times: list[int], cuts: list[int], wanted: int, span_ms: int
) -> tuple[ReferenceSample, list[int], int, bool]:
    """The sample, the kept rows (as a caller who follows `kept` has them), how many were taken, and whether it is
    complete."""
    rows: list[int] = []
    sample, taken, complete = ReferenceSample(), 0, False
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(times)], strict=True):
        if complete:
            break
        done = gather(sample, times[low:high], wanted=wanted, span_ms=span_ms)
        offered = [*rows, *range(low, high)]
        rows = [offered[i] for i in done.kept]
        sample, complete, taken = done.sample, done.complete, taken + done.taken
    return sample, rows, taken, complete


def test_the_first_events_are_taken_where_no_span_is_asked() -> None:
    sample, rows, taken, complete = gathered(list(range(500)), [130], 200, 0)
    assert (rows, taken, complete, sample.halvings) == (list(range(200)), 200, True, 0)


def test_a_long_span_is_covered_by_whole_stretches() -> None:
    times = [1_000 * k for k in range(EVENTS)]
    sample, rows, taken, complete = gathered(times, [], 300, 2_000_000)
    assert complete
    assert taken == 2_001
    assert sample.places == rows
    assert sample.times_ms == [times[i] for i in rows]
    assert 300 <= len(rows) < 600
    whole = [stretch for stretch in {row // STRETCH for row in rows} if (stretch + 1) * STRETCH <= taken]
    assert all(set(range(k * STRETCH, (k + 1) * STRETCH)) <= set(rows) for k in whole)
    assert max(rows) - min(rows) > 0.7 * taken


@pytest.mark.slow
@given(cuts=st.lists(st.integers(0, EVENTS), max_size=6), span_s=st.integers(0, 3_500))
def test_how_it_is_cut_changes_nothing(cuts: list[int], span_s: int) -> None:
    times = [1_000 * k for k in range(EVENTS)]
    assert gathered(times, cuts, 100, 1_000 * span_s) == gathered(times, [], 100, 1_000 * span_s)


def test_it_stays_bounded_however_long_it_takes() -> None:
    sample, most = ReferenceSample(), 0
    for low in range(0, 40_000, 500):
        done = gather(sample, range(low, low + 500), wanted=100, span_ms=10**9)
        assert not done.complete
        sample, most = done.sample, max(most, len(done.kept))
    assert most < 200
    assert sample.offered == 40_000


def test_it_goes_through_json_and_a_complete_one_takes_no_more() -> None:
    sample, _, _, complete = gathered([1_000 * k for k in range(EVENTS)], [], 100, 1_000_000)
    assert complete
    assert msgspec.json.decode(msgspec.json.encode(sample), type=ReferenceSample) == sample
    done = gather(sample, [10**9], wanted=100, span_ms=1_000_000)
    assert (done.sample, done.taken, done.complete) == (sample, 0, True)


def test_late_events_do_not_shrink_the_span() -> None:
    _, rows, _, complete = gathered([0, 5_000, 1_000, 2_000, 3_000, 4_000], [], 3, 5_000)
    assert complete
    assert rows == [0, 1, 2]


def test_stretches_hold_blocks_of_several_lengths() -> None:
    assert sum(STRETCH % (2 * length) == 0 for length in LENGTHS) >= 4
