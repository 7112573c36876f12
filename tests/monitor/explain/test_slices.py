"""Which slice explains what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from monitor.explain.slices import FEWEST, LONGEST, LONGEST_TAG, MOST, Member, SliceFindings, Valued, explaining, named


def test_a_slice_keeps_its_place_and_whatever_clients_send_their_number_is_bounded() -> None:
    names, members = named(["language=de"], [{"language": "en", "tenant": "a"}, {"language": "de"}])
    assert names == ["language=de", "language=en", "tenant=a"]
    assert members == [(1, 2), (0,)]
    names, members = named(names, [{"tenant": f"{i:03d}" * 90} for i in range(500)])
    assert len(names) == MOST
    assert max(map(len, names)) <= LONGEST
    assert members[-1] == ()


def test_tags_and_values_that_begin_alike_stay_apart_however_long_they_are() -> None:
    long, address = 70 * "k", "https://crm.example.com/organisations/europe/customers/0123456789/"
    tags = [{long: "a"}, {long: "b"}, {long + "k": "a"}, {"tenant": f"{address}1"}, {"tenant": f"{address}2"}]
    names, members = named([], tags)
    assert members == [(0,), (1,), (2,), (3,), (4,)]
    assert named(names, tags) == (names, members)
    assert {name.partition("=")[0] for name in names} == {long[:LONGEST_TAG], "tenant"}
    assert max(map(len, names)) == LONGEST


def quiet(members: Sequence[Member], seed: int = 7) -> Valued:
    """The same slices in a reference in which none differs."""
    return Valued(members, np.random.default_rng(seed).normal(size=len(members)).tolist())


def test_the_slice_in_which_it_happens_is_named_not_the_one_that_overlaps() -> None:
    rng = np.random.default_rng(1)
    members = [(int(k % 3 == 0), 2 + k % 2) for k in range(150)]
    values = [float(rng.normal(1.5 * (1 in each))) for each in members]
    best = explaining(["a=0", "a=1", "b=0", "b=1"], Valued(members, values), quiet(members)).best
    assert best is not None
    assert (best.name, best.events, best.share) == ("a=1", 50, 0.3333)
    assert best.mean > best.elsewhere + 1.0
    assert abs(best.before - best.elsewhere_before) < 0.6


def test_a_slice_that_always_differed_is_not_blamed() -> None:
    """One in four is three sigma higher, as ever; all of them rise by one."""
    blamed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        members = [(int(k % 4 == 0),) for k in range(200)]
        usual = np.array([3.0 * (k % 4 == 0) for k in range(200)])
        before = Valued(members, (rng.normal(size=200) + usual).tolist())
        found = explaining(["rest", "long"], Valued(members, (rng.normal(1.0, size=200) + usual).tolist()), before)
        blamed += found.best is not None or bool(found.unknown)
    assert blamed <= 2


def test_of_two_slices_the_one_that_changed_is_blamed_not_the_one_that_always_differed() -> None:
    rng = np.random.default_rng(3)
    members = [(k % 3,) for k in range(240)]
    usual = np.array([4.0 * (k % 3 == 0) for k in range(240)])
    fresh = np.array([1.5 * (k % 3 == 1) for k in range(240)])
    before = Valued(members, (rng.normal(size=240) + usual).tolist())
    now = Valued(members, (rng.normal(size=240) + usual + fresh).tolist())
    best = explaining(["always", "now", "never"], now, before).best
    assert best is not None
    assert best.name == "now"


@pytest.mark.parametrize("known", [0, FEWEST - 1])
def test_a_slice_that_the_reference_hardly_knows_is_unknown_and_not_blamed(known: int) -> None:
    rng = np.random.default_rng(2)
    members = [(0,) if k < 40 else (1,) for k in range(120)]
    values = [float(rng.normal(3.0 * (k < 40))) for k in range(120)]
    earlier = quiet([(0,)] * known + [(1,)] * 300)
    found = explaining(["tenant=new", "tenant=old"], Valued(members, values), earlier)
    assert (found.best, found.unknown) == (None, ["tenant=new"])


@pytest.mark.slow
def test_what_happens_everywhere_has_no_slice() -> None:
    """40 slices of noise: chance names one in fewer than 1 of 20 alarms."""
    named_one = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        members = [(int(i), 20 + int(j)) for i, j in rng.integers(0, 20, (256, 2))]
        now = Valued(members, rng.normal(2.0, size=256).tolist())
        before = quiet(members, 1_000 + seed)
        named_one += explaining([f"x={i}" for i in range(40)], now, before).best is not None
    assert named_one <= 10


@pytest.mark.parametrize("inside", [0, FEWEST - 1, 100])
def test_too_few_events_inside_or_outside_explain_nothing(inside: int) -> None:
    members: list[Member] = [(0,) if k < inside else () for k in range(100)]
    now = Valued(members, [100.0 * (k < inside) for k in range(100)])
    assert explaining(["a=0"], now, quiet([(0,), ()] * 50)) == SliceFindings()


def test_a_few_equal_outcomes_are_no_certainty() -> None:
    """Eight right answers and eight wrong ones of a hundred have no spread of their own."""
    members: list[Member] = [(0,) if k < 8 else () for k in range(100)]
    before = Valued(members * 4, [float(k % 10 == 0) for k in range(400)])
    calm = Valued(members, [0.0] * 8 + [float(k % 10 == 0) for k in range(92)])
    assert explaining(["a=0"], calm, before).best is None
    best = explaining(["a=0"], Valued(members, [1.0] * 8 + [float(k % 10 == 0) for k in range(92)]), before).best
    assert best is not None
    assert best.errors < 10
