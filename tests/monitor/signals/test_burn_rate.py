from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors.episode import Over
from monitor.settings import BurnWindow, Slo
from monitor.signals.burn_rate import Budget, Burn, State, burning, follow

BUDGET = Budget(0.01, (BurnWindow(long_s=3_600, short_s=300, rate=14.4),), 10)


def run(bad: list[bool], step_ms: int = 1_000) -> tuple[State, list[Burn]]:
    state, found = State(), []
    for k, each in enumerate(bad):
        state, transitions = follow(BUDGET, state, [each], [k * step_ms])
        found += [transition for transition in transitions if isinstance(transition, Burn)]
    return state, found


def test_a_burning_budget_fires_once() -> None:
    state, found = run([False] * 100 + [True] * 60)
    assert len(found) == 1
    assert found[0].bad >= 10
    assert found[0].since_ms == 100_000
    assert burning(BUDGET, state) >= 1


def test_within_budget_never_fires() -> None:
    assert run([k % 100 == 0 for k in range(3_000)])[1] == []


def test_a_few_bad_requests_prove_nothing() -> None:
    assert run([True] * 9)[1] == []
    assert burning(BUDGET, State()) == 0.0


def test_it_fires_again_only_after_it_has_fallen() -> None:
    spell = [True] * 400 + [False] * 400
    assert len(run(spell * 2)[1]) == 2


def test_old_requests_are_forgotten() -> None:
    state, _ = run([False] * 1_000, step_ms=30_000)
    assert len(state.buckets) <= 361


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 200))
def test_how_it_is_cut_changes_nothing(bad: list[bool], cut: int) -> None:
    times = [k * 700 for k in range(len(bad))]
    whole, found = follow(BUDGET, State(), bad, times)
    half, first = follow(BUDGET, State(), bad[:cut], times[:cut])
    rest, second = follow(BUDGET, half, bad[cut:], times[cut:])
    assert rest == whole
    assert [type(transition) for transition in found] == [type(transition) for transition in [*first, *second]]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6])
def test_a_generous_budget_burns_while_all_is_bad(share: float) -> None:
    """It can burn no faster than that: compared with more, the alarm ended every ten seconds."""
    generous = Budget(share, Slo().burn_windows, 10)
    _, transitions = follow(generous, State(), [True] * 2_000, [k * 1_000 for k in range(2_000)])
    assert len(transitions) == 1
    _, transitions = follow(generous, State(), [True] * 400 + [False] * 4_000, [k * 1_000 for k in range(4_400)])
    assert [type(transition) for transition in transitions] == [Burn, Over]


def test_a_quiet_night_in_which_all_requests_fail_ends_nothing() -> None:
    """A request every ten minutes: between two of them the short window is empty, and says nothing."""
    day, night = [k * 1_000 for k in range(400)], [400_000 + k * 600_000 for k in range(1, 40)]
    state, transitions = follow(BUDGET, State(), [True] * (len(day) + len(night)), [*day, *night])
    assert [type(transition) for transition in transitions] == [Burn]
    _, transitions = follow(BUDGET, state, [False], [night[-1] + 600_000])
    assert [type(transition) for transition in transitions] == [Over]
