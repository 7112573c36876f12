from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.burn_rate import Budget, Burn, State, burning, update
from monitor.settings import BurnWindow

BUDGET = Budget(0.01, (BurnWindow(long_s=3_600, short_s=300, rate=14.4),), 10)


def run(bad: list[bool], step_ms: int = 1_000) -> tuple[State, list[Burn]]:
    state, found = State(), []
    for k, each in enumerate(bad):
        state, turns = update(BUDGET, state, [each], [k * step_ms])
        found += [turn for turn in turns if isinstance(turn, Burn)]
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
    whole, found = update(BUDGET, State(), bad, times)
    half, first = update(BUDGET, State(), bad[:cut], times[:cut])
    rest, second = update(BUDGET, half, bad[cut:], times[cut:])
    assert rest == whole
    assert [type(turn) for turn in found] == [type(turn) for turn in [*first, *second]]
