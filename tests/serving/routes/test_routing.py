"""Who answers: pure, from routes and attestations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.routes.routing import NoReplica, RouteTable, UnknownAlias, drawn, pick, served
from streams.events import ReplicaAttested, RouteWritten
from streams.kinds import Arm

OLD, NEW = "support-aaaaaaaaaaaa", "support-bbbbbbbbbbbb"
DIGESTS = {OLD: "a" * 64, NEW: "b" * 64}


def route(generation: int = 1, **changes: Any) -> RouteWritten:
    given = {"champion": OLD, "adapters": DIGESTS, "time_ms": 0, "by": "test", **changes}
    return RouteWritten(alias="support", generation=generation, **given)


def replica(name: str, versions: dict[str, str] | None = None, *, healthy: bool = True) -> ReplicaAttested:
    return ReplicaAttested(
        replica=name,
        url=f"http://{name}",
        time_ms=0,
        healthy=healthy,
        base_model="base",
        versions=DIGESTS if versions is None else versions,
        generations={},
    )


def table(written: RouteWritten, *replicas: ReplicaAttested) -> RouteTable:
    made = RouteTable().with_route(written)
    for each in replicas:
        made = made.with_attestation(each)
    return made


def test_the_first_record_of_a_generation_wins() -> None:
    made = RouteTable().with_route(route(2)).with_route(route(2, champion=NEW)).with_route(route(1, champion=NEW))
    assert made.routes["support"].champion == OLD
    assert made.with_route(route(3, champion=NEW)).routes["support"].champion == NEW


def test_a_table_in_use_does_not_change() -> None:
    before = table(route(), replica("r1"))
    before.with_route(route(2, champion=NEW))
    assert pick(before, "support", "x", {}).version == OLD


def test_the_least_loaded_replica_answers() -> None:
    made = table(route(), replica("r1"), replica("r2"))
    assert pick(made, "support", "x", {"r1": 3, "r2": 2}).replica == "r2"


def test_a_replica_to_avoid_is_the_last_resort() -> None:
    made = table(route(), replica("r1"), replica("r2"))
    assert pick(made, "support", "x", {"r2": 99}, frozenset({"r1"})).replica == "r2"
    assert pick(made, "support", "x", {}, frozenset({"r1", "r2"})).replica == "r1"


@pytest.mark.parametrize("bad", [replica("r1", {}), replica("r1", {OLD: DIGESTS[NEW]}), replica("r1", healthy=False)])
def test_who_does_not_attest_the_very_bytes_is_not_asked(bad: ReplicaAttested) -> None:
    with pytest.raises(NoReplica) as lacking:
        pick(table(route(), bad), "support", "x", {})
    assert lacking.value.version == OLD
    assert not served(table(route(), bad), "support")
    assert pick(table(route(), bad, replica("r2")), "support", "x", {}).replica == "r2"


def test_a_canary_that_nobody_attests_falls_back_to_the_champion() -> None:
    made = table(route(canary=NEW, weight=1.0), replica("r1", {OLD: DIGESTS[OLD]}))
    choice = pick(made, "support", "x", {})
    assert (choice.version, choice.arm, choice.assigned) == (OLD, Arm.CHAMPION, Arm.CANARY)
    with pytest.raises(NoReplica) as lacking:
        pick(table(route(canary=NEW, weight=1.0)), "support", "x", {})
    assert lacking.value.assigned is Arm.CANARY


def test_the_champion_before_answers_until_the_new_one_is_loaded() -> None:
    """Whoever is promoted may have to be loaded first: no client should feel it."""
    written = route(champion=NEW, previous=OLD)
    before = table(written, replica("r1", {OLD: DIGESTS[OLD]}), replica("r2", {OLD: DIGESTS[OLD]}))
    assert (pick(before, "support", "x", {}).version, served(before, "support")) == (OLD, True)
    assert pick(before.with_attestation(replica("r2")), "support", "x", {"r2": 9}).version == NEW


def test_who_was_rolled_back_never_answers_again() -> None:
    rolled_back = table(route(champion=NEW, previous=None), replica("r1", {OLD: DIGESTS[OLD]}))
    with pytest.raises(NoReplica) as lacking:
        pick(rolled_back, "support", "x", {})
    assert lacking.value.version == NEW
    assert not served(rolled_back, "support")


def test_an_unknown_alias_is_said() -> None:
    with pytest.raises(UnknownAlias):
        pick(table(route()), "sales", "x", {})


CONVERSATIONS = 10_000
SALTS = ("", "5f" * 16, "a7" * 16, "00" * 16)


def canaries(salt: str, weight: float, keys: Iterable[str]) -> NDArray[np.bool_]:
    rolled = route(canary=NEW, weight=weight, salt=salt)
    return np.array([drawn(rolled, key) is Arm.CANARY for key in keys])


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1), st.sampled_from(SALTS))
def test_a_conversation_stays_in_its_arm(key: str, one: float, other: float, salt: str) -> None:
    """In every generation of its rollout, at every gateway; a larger share keeps those it had."""
    low, high = (canaries(salt, weight, [key, key]).tolist() for weight in sorted((one, other)))
    assert low[0] == low[1]
    assert low[0] <= high[0]


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("salt", SALTS)
def test_the_share_is_the_weight(weight: float, salt: str) -> None:
    """Of 10,000 conversations, within three standard deviations; the seeds are the salts."""
    made = table(route(canary=NEW, weight=weight, salt=salt), replica("r1"))
    arms = Counter(pick(made, "support", f"chat-{i}", {}).arm for i in range(CONVERSATIONS))
    sigma = math.sqrt(weight * (1 - weight) / CONVERSATIONS)
    assert abs(arms[Arm.CANARY] / CONVERSATIONS - weight) <= 3 * sigma


@pytest.mark.parametrize("name", ["{}", "chat-{}", "0{}", "{}aaaaaaaaaaaaaaaa", "\ud800{}"])
def test_no_kind_of_name_has_an_arm_of_its_own(name: str) -> None:
    """Who picks names picks them without the salt: each rollout draws the arms anew, whatever they look like."""
    keys = [name.format(i) for i in range(CONVERSATIONS)]
    first, other = (canaries(salt, 0.5, keys) for salt in SALTS[1:3])
    chosen = [key for key, canary in zip(keys, first, strict=True) if canary]  # by one who saw the rollout before
    share = canaries(SALTS[2], 0.5, chosen).mean()
    assert abs(share - 0.5) <= 3 * 0.5 / math.sqrt(len(chosen))
    assert abs(np.corrcoef(first, other)[0, 1]) <= 3 / math.sqrt(CONVERSATIONS)


def test_without_a_canary_no_arm_is_drawn() -> None:
    assert drawn(route(weight=1.0), "x") is Arm.CHAMPION
    assert drawn(route(canary=NEW), "x") is Arm.CHAMPION, "it is loaded, and answers no client yet"
