from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import RouteWritten
from streams.routes import effective, in_force


def route(alias: str, generation: int, by: str) -> RouteWritten:
    return RouteWritten(alias=alias, generation=generation, champion="c", adapters={}, time_ms=0, by=by)


def test_the_first_record_of_a_generation_wins_and_a_lower_one_is_void() -> None:
    one, late, two, old = route("a", 1, "x"), route("a", 1, "y"), route("a", 2, "y"), route("a", 1, "z")
    other = route("b", 1, "x")
    assert list(effective([one, late, other, two, old])) == [one, other, two]
    assert in_force([one, late, other, two, old]) == {"a": two, "b": other}


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.text(max_size=2)), max_size=20))
def test_the_routes_in_force_are_the_last_that_took_effect(written: list[tuple[str, int, str]]) -> None:
    routes = [route(*each) for each in written]
    found = list(effective(routes))
    for alias in "ab":
        generations = [each.generation for each in found if each.alias == alias]
        assert generations == sorted(set(generations))
        of_alias = [each for each in routes if each.alias == alias]
        assert in_force(routes).get(alias) == max(of_alias, key=lambda each: each.generation, default=None)


@pytest.mark.slow
@given(st.lists(st.integers(1, 5), max_size=12), st.integers(0, 12))
def test_reading_in_parts_ends_at_the_same_route(generations: list[int], cut: int) -> None:
    routes = [route("a", generation, str(i)) for i, generation in enumerate(generations)]
    first = list(in_force(routes[:cut]).values())
    assert in_force([*first, *routes[cut:]]) == in_force(routes)
