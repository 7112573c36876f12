from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.describe.groups import ADMITTED, CANDIDATES, LONGEST, OTHER, GroupNames, grouped
from monitor.settings import Fairness
from monitor.signals.comparison import GroupHarm, Outcomes, State, restarted
from monitor.signals.gaps import report
from monitor.signals.pairing import KEPT, Pairing, pair
from tests.monitor.support.plain import compared

KEEN = Fairness(arl=1_000, least=20)


def outcomes(tags: list[dict[str, str]], losses: list[float], first: int = 0) -> Outcomes:
    ids = [f"e{first + k}" for k in range(len(losses))]
    return Outcomes(ids, [1_000 * (first + k) for k in range(len(losses))], tags, losses)


def traffic(seed: int, events: int, share: float, rates: tuple[float, float], drift: float = 0.0) -> Outcomes:
    """`rates`: of the group `de` and of the others, which are `en`; halfway both grow by `drift`."""
    rng = np.random.default_rng(seed)
    mine = rng.random(events) < share
    later = drift * (np.arange(events) >= events // 2)
    wrong = rng.random(events) < np.where(mine, *rates) + later
    return outcomes([{"language": "de" if each else "en"} for each in mine], wrong.astype(float).tolist())


def harms(settings: Fairness, seen: Outcomes) -> list[GroupHarm]:
    return compared(settings, State(), "quality", seen)[1]


def test_a_group_that_is_served_worse_is_named_with_its_onset() -> None:
    even, worse = traffic(1, 600, 0.3, (0.1, 0.1)), traffic(2, 600, 0.3, (0.5, 0.1))
    seen = outcomes([*even.tags, *worse.tags], [*even.losses, *worse.losses])  # type: ignore[list-item]
    (found,) = harms(KEEN, seen)
    assert (found.key, found.value, found.measure) == ("language", "de", "quality")
    assert 540 <= int(found.onset[0][1:]) <= 640
    assert int(found.last[0][1:]) < 720
    assert found.mean > 0.2
    assert "language=de is worse off than the rest in quality" in found.summary
    assert found.evidence()["onset"] == found.onset


def test_the_group_that_is_served_better_raises_nothing() -> None:
    assert {each.value for seed in range(5) for each in harms(KEEN, traffic(seed, 1_500, 0.5, (0.4, 0.05)))} == {"de"}


def test_a_drift_that_all_feel_is_no_gap() -> None:
    """A test of the group's own rate would fire in each of these runs."""
    rare = replace(KEEN, arl=100_000)
    assert [harms(rare, traffic(seed, 2_000, 0.2, (0.1, 0.1), drift=0.5)) for seed in range(10)] == [[]] * 10


def test_at_the_tolerated_gap_false_alarms_are_as_rare_as_asked() -> None:
    """40 runs of 100 pairs or fewer of each of two groups at 1,000: chance allows 20 % of them, 8; 14 are too many."""
    runs = [harms(KEEN, traffic(seed, 200, 0.5, (0.15, 0.10))) for seed in range(40)]
    assert sum(bool(run) for run in runs) <= 13


@pytest.mark.slow
def test_nothing_is_said_of_few_pairs() -> None:
    seen = traffic(3, 200, 0.5, (1.0, 0.0))
    settings = replace(KEEN, least=40)
    for low in range(200):
        some = Outcomes(seen.ids[:low], seen.times_ms[:low], seen.tags[:low], seen.losses[:low])
        state, found = compared(settings, State(), "quality", some)
        groups = state.measures["quality"]["language"].groups if low else {}
        pairs = {name: sum(group.times.values()) for name, group in groups.items()}
        assert not found or max(pairs.values()) > 40
        assert {gap.value for gap in report(settings, state)} == {name for name, n in pairs.items() if n >= 40}
    assert harms(settings, seen)


def test_an_alarm_is_told_once_until_it_is_taken_back() -> None:
    state, found = compared(KEEN, State(), "slow", traffic(1, 800, 0.4, (0.9, 0.1)))
    assert len(found) == 1
    state, again = compared(KEEN, state, "slow", traffic(2, 800, 0.4, (0.9, 0.1)))
    assert again == []
    state, again = compared(KEEN, restarted(state, "slow/language=de"), "slow", traffic(3, 800, 0.4, (0.9, 0.1)))
    assert [each.value for each in again] == ["de"]
    assert next(gap for gap in report(KEEN, state) if gap.value == "de").pairs > 600


def test_measures_and_tags_are_kept_apart() -> None:
    rng = np.random.default_rng(5)
    tags = [{"language": rng.choice(["de", "en"]), "tenant": rng.choice(["a", "b"])} for _ in range(1_000)]
    worse = [float(each["tenant"] == "a" and rng.random() < 0.6) for each in tags]
    state, found = compared(KEEN, State(), "refusals", outcomes(tags, worse))
    assert [(each.key, each.value) for each in found] == [("tenant", "a")]
    state, found = compared(KEEN, state, "slow", outcomes(tags, [0.0] * 1_000))
    assert found == []
    assert {(gap.key, gap.measure) for gap in report(KEEN, state)} == {
        (key, measure) for key in ("language", "tenant") for measure in ("refusals", "slow")
    }


@pytest.mark.slow
def test_the_interval_holds_the_gap_and_shrinks() -> None:
    missed = widths = 0.0
    for seed in range(40):
        state, _ = compared(replace(KEEN, alpha=0.1), State(), "quality", traffic(seed, 1_500, 0.3, (0.3, 0.1)))
        gap = next(each for each in report(replace(KEEN, alpha=0.1), state) if each.value == "de")
        missed += not gap.low <= 0.2 <= gap.high
        widths += gap.high - gap.low
    assert missed <= 4
    assert widths / 40 < 0.2


def test_what_is_not_known_is_no_outcome() -> None:
    seen = traffic(1, 300, 0.5, (0.4, 0.1))
    holes = Outcomes(
        [f"x{k}" for k in range(600)],
        [0] * 600,
        [each for tags in seen.tags for each in (tags, tags)],
        [each for loss in seen.losses for each in (loss, math.nan)],
    )
    full, _ = compared(KEEN, State(), "quality", seen)
    holed, _ = compared(KEEN, State(), "quality", holes)
    assert report(KEEN, full) == report(KEEN, holed)


@pytest.mark.parametrize("loss", [-0.1, 1.1, math.inf])
def test_what_is_no_loss_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match=r"loss of step 1 is .*, expected 0 to 1"):
        compared(KEEN, State(), "quality", outcomes([{}, {}], [0.0, loss]))


def test_a_loss_between_keeps_its_mean() -> None:
    tags = [{"language": "de" if k % 2 else "en"} for k in range(4_000)]
    state, _ = compared(KEEN, State(), "quality", outcomes(tags, [0.37 if k % 2 else 0.12 for k in range(4_000)]))
    gap = next(each for each in report(KEEN, state) if each.value == "de")
    assert gap.mean == pytest.approx(0.25, abs=0.01)
    assert len(state.measures["quality"]["language"].groups["de"].times) <= 21


events = st.lists(st.tuples(st.sampled_from(["de", "en", "fr", ""]), st.sampled_from([0.0, 1.0, 0.33])), max_size=120)


@pytest.mark.slow
@given(events, st.lists(st.integers(0, 120), max_size=3))
def test_how_rows_are_cut_changes_nothing(some: list[tuple[str, float]], cuts: list[int]) -> None:
    settings = Fairness(arl=20, least=3, tolerated=0.0, most=2)
    some = [("de", 0.0)] * 5 + [("en", 0.0)] * ADMITTED + [("fr", 1.0)] * ADMITTED + some
    tags = [{"language": value} if value else {} for value, _ in some]
    whole = outcomes([{}, {}, *tags], [1.0, 0.0, *(loss for _, loss in some)])
    at_once, all_found = compared(settings, State(), "quality", whole)
    state, found = State(), list[GroupHarm]()
    edges = sorted({0, len(whole.ids), *(min(cut, len(whole.ids)) for cut in cuts)})
    for low, high in pairwise(edges):
        columns = (whole.ids, whole.times_ms, whole.tags, whole.losses)
        state, more = compared(settings, state, "quality", Outcomes(*(each[low:high] for each in columns)))  # type: ignore[arg-type]
        state = msgspec.json.decode(msgspec.json.encode(state), type=State)
        found += more
    assert (state, found) == (at_once, all_found)


def test_memory_is_bounded_whatever_clients_send() -> None:
    rng = np.random.default_rng(0)
    tags = [{"tenant": f"{rng.integers(10**9)}" * 40, "unknown": f"{k}"} for k in range(3_000)]
    tags += [{"tenant": f"t{k % 30}"} for k in range(6_000)]
    state, _ = compared(KEEN, State(), "quality", outcomes(tags, [float(k % 2) for k in range(9_000)]))
    ((key, each),) = state.measures["quality"].items()
    assert key == "tenant"
    assert set(each.groups) == {OTHER, *each.known.names}
    assert len(each.known.names) == KEEN.most
    assert all(name.startswith("t") for name in each.known.names)
    assert len(msgspec.json.encode(state)) < 20_000


def test_a_flood_of_rare_values_takes_no_place() -> None:
    flood = [f"junk{k}" for k in range(5_000)]
    mixed = [each for k, junk in enumerate(flood) for each in ([junk, "real"] if k % 4 == 0 else [junk])]
    known, _ = grouped(GroupNames(), mixed, 3)
    assert known.names == ("real",)
    assert len(known.candidates) <= CANDIDATES
    assert max(map(len, grouped(GroupNames(), ["x" * 500] * ADMITTED, 3)[0].names)) == LONGEST


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.integers(0, 10**6)), max_size=80))
def test_no_outcome_is_in_two_pairs_of_a_group_and_each_pair_is_of_the_group_and_another(
    some: list[tuple[str, int]],
) -> None:
    numbered = [(group, float(2**k)) for k, (group, _) in enumerate(some)]  # a difference names both outcomes
    state, pairs = pair(Pairing(), numbered)
    for group, mine in pairs.items():
        used: list[float] = []
        for _, difference in mine:
            one, other = next(
                (a, b)
                for name, a in numbered
                for others, b in numbered
                if name == group and others != group and a - b == difference
            )
            used += [one, other]
        assert len(used) == len(set(used))
    assert len(state.recent) <= KEPT
    assert all(len(each.waiting) <= KEPT for each in state.groups.values())


def test_a_pair_is_of_the_same_time() -> None:
    steady = [("", float(k)) if k % 10 else ("a", float(k)) for k in range(200)]
    _, pairs = pair(Pairing(), steady)
    assert all(abs(difference) == 1.0 for _, difference in pairs["a"])
    assert len(pairs["a"]) == 20


@pytest.mark.parametrize("name", ["tolerated", "arl", "least", "most", "alpha"])
def test_settings_name_what_is_wrong(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Fairness.{name} is -1, expected"):
        Fairness(**{name: -1})  # type: ignore[arg-type]
