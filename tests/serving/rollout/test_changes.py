"""What an operator may make of a route, and what is refused before anything is written."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from serving.rollout.changes import Change, EngineLimits, Named, Pause, Promote, Rollback, Shadow
from serving.routes.routing import UnknownAlias
from streams.events import RouteWritten
from streams.identity import version_name

DIGESTS = {letter: letter * 64 for letter in "abcdef"}
A, B, C, D, E = (Named(version_name("support", DIGESTS[x]), DIGESTS[x]) for x in "abcde")
FULL = RouteWritten(
    alias="support",
    generation=7,
    champion=A.version,
    canary=B.version,
    weight=0.5,
    previous=C.version,
    shadow=D.version,
    adapters={each.version: each.digest for each in (A, B, C, D)},
    time_ms=0,
    by="controller",
)
ROUTES = {"support": FULL}


def test_a_promotion_withdraws_the_canary_and_keeps_the_champion_hot() -> None:
    route = Promote(E)(ROUTES, "support", None)
    assert (route.generation, route.champion, route.previous) == (8, E.version, A.version)
    assert (route.canary, route.weight, route.shadow) == (None, 0.0, D.version)
    assert set(route.adapters) == {E.version, A.version, D.version}


def test_a_promotion_may_leave_no_previous_one() -> None:
    assert Promote(E, keep_previous=False)(ROUTES, "support", None).previous is None
    alone = Promote(A, keep_previous=False)({"support": replace(FULL, canary=None)}, "support", None)
    assert (alone.champion, alone.previous, set(alone.adapters)) == (A.version, None, {A.version, D.version})


def test_the_first_promotion_makes_the_first_generation() -> None:
    route = Promote(A)({}, "support", EngineLimits(1, 16))
    assert (route.generation, route.champion, route.adapters) == (1, A.version, {A.version: A.digest})


def test_the_champion_again_only_withdraws_the_canary_and_then_changes_nothing() -> None:
    route = Promote(A)(ROUTES, "support", None)
    assert (route.champion, route.canary, route.previous) == (A.version, None, C.version)
    assert Promote(A)({"support": route}, "support", None) is route


def test_a_rollback_takes_the_previous_one_once() -> None:
    route = Rollback()(ROUTES, "support", None)
    assert (route.champion, route.previous, route.canary) == (C.version, None, None)
    with pytest.raises(LookupError, match="has no previous champion; name one"):
        Rollback()({"support": route}, "support", None)


def test_a_rollback_of_someone_who_is_gone_already_is_refused() -> None:
    with pytest.raises(RuntimeError, match=f"{A.version} serves by now, not {E.version}"):
        Rollback(E.version)(ROUTES, "support", None)
    assert Rollback(A.version)(ROUTES, "support", None).champion == C.version


def test_a_pause_changes_nothing_else_and_a_second_one_nothing() -> None:
    paused = Pause(True)(ROUTES, "support", None)
    assert paused == msgspec.structs.replace(FULL, generation=8, paused=True)
    assert Pause(True)({"support": paused}, "support", None) is paused
    assert Pause(False)({"support": paused}, "support", None) == msgspec.structs.replace(FULL, generation=9)


def test_a_shadow_is_set_and_taken_off_and_the_canary_goes_on() -> None:
    route = Shadow(E)(ROUTES, "support", None)
    assert (route.shadow, route.canary, route.weight) == (E.version, B.version, 0.5)
    assert route.adapters[E.version] == E.digest
    assert D.version not in route.adapters
    off = Shadow(None)({"support": route}, "support", None)
    assert (off.shadow, off.canary, E.version in off.adapters) == (None, B.version, False)
    assert Shadow(None)({"support": off}, "support", None) is off


@pytest.mark.parametrize("change", [Promote(E), Shadow(E)])
def test_a_plan_that_no_engine_has_room_for_names_value_and_limit(change: Change) -> None:
    other = msgspec.structs.replace(FULL, alias="billing", champion="billing-ffffffffffff", canary=None, previous=None)
    other = msgspec.structs.replace(other, shadow=None, adapters={"billing-ffffffffffff": "f" * 64})
    with pytest.raises(ValueError, match=r"[45] versions are wanted at once, max_loras is 3: billing-ffffffffffff, "):
        change(ROUTES | {"billing": other}, "support", EngineLimits(3, 16))
    assert change(ROUTES | {"billing": other}, "support", EngineLimits(5, 16)).generation == 8


@pytest.mark.parametrize("kind", [Promote, Shadow])
def test_a_rank_too_high_and_a_name_that_lies_are_refused(kind: type[Promote] | type[Shadow]) -> None:
    with pytest.raises(ValueError, match="its rank is 32, max_lora_rank is 16; train it with a lower r"):
        kind(Named(E.version, E.digest, 32))(ROUTES, "support", EngineLimits(8, 16))
    with pytest.raises(ValueError, match=f"version is '{A.version}', expected '{E.version}'"):
        kind(Named(A.version, E.digest))(ROUTES, "support", None)


@pytest.mark.parametrize("change", [Rollback(), Pause(True), Shadow(None)])
def test_an_alias_no_one_knows_is_named_with_those_that_are(change: Change) -> None:
    with pytest.raises(UnknownAlias, match="alias 'billing' has no route; known: support"):
        change(ROUTES, "billing", None)
