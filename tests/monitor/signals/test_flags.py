from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.settings import Safety
from monitor.signals.flags import FlagHarm, State, evidence, follow, restarted, start
from tests.monitor.support.plain import flagged

NAMES = ["output_chars", "output_refusal", "output_pii", "output_toxic", "output_policy_acme"]
SETTINGS = Safety(arl=2_000)


def rows(rng: np.random.Generator, count: int, *rates: float) -> list[list[float]]:
    flags = rng.random((count, 4)) < np.array(rates)
    return [[3.0, *map(float, row)] for row in flags.tolist()]


def moments(count: int, first: int = 0) -> list[tuple[str, int]]:
    return [(f"e{first + k}", first + k) for k in range(count)]


def healthy(seed: int) -> tuple[State, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return start(SETTINGS, NAMES, rows(rng, 1_000, 0.05, 0.01, 0.0, 0.2)), rng


def test_a_flag_that_rises_is_named_with_rates_onset_and_last_event() -> None:
    state, rng = healthy(0)
    state, found = flagged(SETTINGS, state, rows(rng, 500, 0.05, 0.01, 0.0, 0.2), moments(500))
    assert found == []
    state, (unsafe,) = flagged(SETTINGS, state, rows(rng, 300, 0.05, 0.01, 0.25, 0.2), moments(300, 500))
    assert (unsafe.flag, unsafe.before.hits, unsafe.before.rows) == ("output_toxic", 0, 1_000)
    assert 495 <= unsafe.onset[1] <= 525
    assert unsafe.onset[1] < unsafe.last[1] < 560
    assert 3 <= unsafe.since.hits <= unsafe.since.rows
    assert unsafe.statistic >= unsafe.threshold == SETTINGS.arl * 4
    assert "output_toxic in" in unsafe.summary
    assert unsafe.evidence()["before"] == {"hits": 0, "rows": 1_000}
    assert evidence(SETTINGS, state) >= 1.0


def test_each_flag_has_its_own_alarm_once_until_it_is_taken_back() -> None:
    state, rng = healthy(1)
    worse = (0.05, 0.9, 0.9, 0.2)
    state, found = flagged(SETTINGS, state, rows(rng, 100, *worse), moments(100))
    assert sorted(each.flag for each in found) == ["output_pii", "output_toxic"]
    assert [each.last[1] for each in found] == sorted(each.last[1] for each in found)
    state, again = flagged(SETTINGS, state, rows(rng, 100, *worse), moments(100))
    assert again == []
    _, again = flagged(SETTINGS, restarted(state, "output_pii"), rows(rng, 100, *worse), moments(100))
    assert [each.flag for each in again] == ["output_pii"]


def test_a_rate_that_falls_or_stays_raises_nothing() -> None:
    state, rng = healthy(2)
    assert flagged(SETTINGS, state, rows(rng, 2_000, 0.0, 0.01, 0.0, 0.2), moments(2_000))[1] == []


@pytest.mark.slow
def test_at_the_limits_false_alarms_are_as_rare_as_asked() -> None:
    """40 runs of 200 rows at 2,000, all four flags at their limits: chance allows 4 of them; 10 are too many."""
    stopped = 0
    for seed in range(40):
        state, rng = healthy(seed)
        limits = [flag.limit for flag in state.flags]
        stopped += bool(flagged(SETTINGS, state, rows(rng, 200, *limits), moments(200))[1])
    assert stopped <= 9


def test_only_flags_are_watched_and_each_limit_is_above_its_rate() -> None:
    state, _ = healthy(3)
    assert [flag.name for flag in state.flags] == NAMES[1:]
    assert all(flag.limit > flag.before.hits / flag.before.rows + SETTINGS.tolerance for flag in state.flags)
    nothing = start(SETTINGS, ["output_chars"], [[1.0]])
    assert flagged(SETTINGS, nothing, [[2.0]], moments(1)) == (nothing, [])
    assert evidence(SETTINGS, nothing) == 0.0


def test_without_a_reference_nothing_is_above_it() -> None:
    state = start(SETTINGS, NAMES, [])
    assert flagged(SETTINGS, state, [[1.0] * 5] * 500, moments(500))[1] == []


@pytest.mark.slow
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=5, max_size=5), max_size=50), st.integers(0, 50))
def test_how_rows_are_cut_changes_nothing(some: list[list[float]], cut: int) -> None:
    settings = Safety(arl=5)
    begun = start(settings, NAMES, [[0.0] * 5] * 50)
    at_once, found = flagged(settings, begun, some, moments(len(some)))
    half, first = flagged(settings, begun, some[:cut], moments(len(some[:cut])))
    half = msgspec.json.decode(msgspec.json.encode(half), type=State)
    rest, second = flagged(settings, half, some[cut:], moments(len(some[cut:]), len(some[:cut])))
    assert (rest, [*first, *second]) == (at_once, found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[FlagHarm]) == found


@pytest.mark.parametrize(("name", "value"), [("arl", 0), ("tolerance", 0.0), ("confidence", 1.0), ("least_people", 0)])
def test_settings_name_what_is_wrong(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Safety.{name} is {value!r}, expected"):
        Safety(**{name: value})  # type: ignore[arg-type]


REFUSED = [3.0, 1.0, 0.0, 0.0, 0.0]
FINE = [3.0, 0.0, 0.0, 0.0, 0.0]


def asked(state: State, some: list[list[float]], clients: list[str], apart_ms: int = 2_000) -> list[FlagHarm]:
    """What is found in rows of these clients, each in a turn of its own."""
    moments = [(f"e{k}", apart_ms * k) for k in range(len(some))]
    turns = list(range(len(some)))
    return [
        each
        for each in follow(SETTINGS, state, some, moments, clients=clients, turns=turns)[1]
        if isinstance(each, FlagHarm)
    ]


def calm() -> State:
    """One answer in fifty was a refusal, now and then."""
    hits = np.random.default_rng(5).random(1_000) < 0.02
    return start(SETTINGS, NAMES, [REFUSED if hit else FINE for hit in hits])


@pytest.mark.parametrize("client", ["app/ann", "app"])
@pytest.mark.parametrize("times", [4, 50])
def test_one_persons_refused_prompts_in_a_row_are_no_alarm(client: str, times: int) -> None:
    """Nor are those of a bare key within a minute: nothing shows that they were two. Others go on as ever."""
    others = [FINE] * 30 + [REFUSED] + [FINE] * 60
    clients = [*[client] * times, *(f"app/{k}" for k in range(len(others)))]
    assert asked(calm(), [*[REFUSED] * times, *others], clients, apart_ms=1_000 if times < 60 else 1) == []


def test_the_same_to_several_people_is_an_alarm_that_says_to_how_many() -> None:
    (found,) = asked(calm(), [REFUSED] * 12, [f"app/{k}" for k in range(12)])
    assert found.flag == "output_refusal"
    assert found.people >= SETTINGS.least_people
    assert "people" in found.summary


def test_a_bare_key_raises_it_once_it_goes_on_for_minutes() -> None:
    """An application that names nobody must not be unwatched."""
    (found,) = asked(calm(), [REFUSED] * 60, ["app"] * 60, apart_ms=10_000)
    assert 120_000 <= found.last[1] <= 200_000


def test_what_one_person_gets_in_a_turn_is_one_step_whatever_partitions_it_lies_in() -> None:
    some, clients = [REFUSED, FINE] * 6, [f"app/{k % 3}" for k in range(12)]
    whole, _ = follow(SETTINGS, calm(), some, moments(12), clients=clients, turns=[0] * 12)
    part, found = follow(SETTINGS, calm(), some[:5], moments(5), clients=clients[:5], turns=[0] * 5, ends_turn=False)
    part = msgspec.json.decode(msgspec.json.encode(part), type=State)
    assert found == []
    parts, _ = follow(SETTINGS, part, some[5:], moments(7, 5), clients=clients[5:], turns=[0] * 7)
    assert parts == whole
    assert whole.flags[0].risk.count == 12


def lumps(rng: np.random.Generator, count: int, size: int) -> list[list[float]]:
    """One answer in fifty has the flag, so many in a row."""
    hits = np.repeat(rng.random(-(-count // size)) < 0.02, size)[:count]
    return [REFUSED if hit else FINE for hit in hits]


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, 5, 10])
def test_clustered_flags_keep_the_stated_run_length(size: int) -> None:
    """Each flag came to somebody else. 2,000 are asked; before, lumps of 3, 5 and 10 fired after some hundreds."""
    runs, found = 20, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        state = start(SETTINGS, NAMES, lumps(rng, 2_000, size))
        some = lumps(rng, 4_000, size)
        found += bool(flagged(SETTINGS, state, some, moments(len(some)))[1])
    assert found <= runs // 4


def test_the_reference_says_how_flags_depend_on_each_other_and_whose_they_are() -> None:
    rng = np.random.default_rng(0)
    clustered = lumps(rng, 2_000, 5)
    alone = start(SETTINGS, NAMES, clustered)
    assert alone.length >= 5
    one = start(
        SETTINGS, NAMES, clustered, [1 + k // 5 for k in range(2_000)], [1_000 * (k // 5) for k in range(2_000)]
    )
    assert one.length == 1


def test_a_state_of_an_earlier_release_goes_on() -> None:
    state, _ = flagged(SETTINGS, calm(), [FINE] * 50, moments(50))
    old = msgspec.to_builtins(state)
    del old["turn"], old["rows"]
    for flag in old["flags"]:
        del flag["people"]
    assert asked(msgspec.convert(old, State), [REFUSED] * 12, [f"app/{k}" for k in range(12)])
