"""Which slice explains what was found."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.slices import FEWEST, LONGEST, MOST, explaining, named


def test_a_slice_keeps_its_place_and_whatever_clients_send_their_number_is_bounded() -> None:
    names, members = named(["language=de"], [{"language": "en", "tenant": "a"}, {"language": "de"}])
    assert names == ["language=de", "language=en", "tenant=a"]
    assert members == [(1, 2), (0,)]
    names, members = named(names, [{"tenant": f"{i:03d}" * 90} for i in range(500)])
    assert len(names) == MOST
    assert max(map(len, names)) <= LONGEST
    assert members[-1] == ()


def test_the_slice_in_which_it_happens_is_named_not_the_one_that_overlaps() -> None:
    rng = np.random.default_rng(1)
    members = [(int(k % 3 == 0), 2 + k % 2) for k in range(150)]
    values = [float(rng.normal(1.5 * (1 in each))) for each in members]
    best = explaining(["a=0", "a=1", "b=0", "b=1"], members, values)
    assert best is not None
    assert (best.name, best.events, best.share) == ("a=1", 50, 0.3333)
    assert best.mean > best.elsewhere + 1.0


def test_what_happens_everywhere_has_no_slice() -> None:
    """40 slices of noise: chance names one in fewer than 1 of 20 alarms."""
    named_one = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        members = [(int(i), 20 + int(j)) for i, j in rng.integers(0, 20, (256, 2))]
        named_one += explaining([f"x={i}" for i in range(40)], members, rng.normal(2.0, size=256).tolist()) is not None
    assert named_one <= 10


@pytest.mark.parametrize("inside", [0, FEWEST - 1, 100])
def test_too_few_events_inside_or_outside_explain_nothing(inside: int) -> None:
    members = [(0,) if k < inside else () for k in range(100)]
    assert explaining(["a=0"], members, [100.0 * (k < inside) for k in range(100)]) is None


def test_a_few_equal_outcomes_are_no_certainty() -> None:
    """Eight right answers and eight wrong ones of a hundred have no spread of their own."""
    members = [(0,) if k < 8 else () for k in range(100)]
    assert explaining(["a=0"], members, [0.0] * 8 + [float(k % 10 == 0) for k in range(92)]) is None
    best = explaining(["a=0"], members, [1.0] * 8 + [float(k % 10 == 0) for k in range(92)])
    assert best is not None
    assert best.errors < 10
