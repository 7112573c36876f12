"""Side-cars under load: killed, ended, with Kafka away and clocks ten minutes apart. Real Kafka, real processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.rollout.operations import attestations
from serving.routes.attestations import everywhere, fresh
from serving.routes.follower import Follower
from serving.routes.listed import ReplicaList
from streams.clock import now_ms
from tests.serving.support.fleet import STALE_S, Fleet, FleetMember, fleet, serving
from tests.serving.support.load import request
from tests.serving.support.log_records import ALIAS
from tests.serving.support.traffic import Attempt, Traffic
from tests.support.waiting import wait

pytestmark = pytest.mark.kafka
CLIENTS, PAUSE_S = 4, 0.01
BODY = {"model": ALIAS, "messages": [{"role": "user", "content": "Where is my card?"}], "signed": True}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Their clocks are ten minutes apart, and both are wrong."""
    with fleet(tmp_path_factory.mktemp("fleet"), (-300.0, 300.0)) as running:
        yield running


def load(place: Fleet) -> Traffic:
    return Traffic(place.place.port, [request("/v1/chat/completions", BODY, place.place.key)], CLIENTS, PAUSE_S)


def start_again(place: Fleet, member: FleetMember) -> None:
    """A replica that failed last is well once it has answered a client."""
    with load(place) as traffic:
        place.start_side_car(member)
        wait(lambda: serving(place.place) == 2, f"{member.name} is back")
    assert check(traffic.attempts) == []


def misattributed(attempt: Attempt) -> bool:
    """Header, body and words must name one version."""
    return attempt.body["model"] != attempt.version or not attempt.text.endswith(f" {attempt.version}")


def check(attempts: list[Attempt]) -> list[Attempt]:
    """The failed ones; none of the others is by another than it names."""
    assert attempts
    assert [each for each in attempts if not each.failed and misattributed(each)] == []
    return [each for each in attempts if each.failed]


def test_clocks_ten_minutes_apart_change_nothing(place: Fleet, tmp_path: Path) -> None:
    """Neither for the gateway nor for a rollout, which asks whether every replica serves a version."""
    version, digest = next(iter(place.adapters.items()))
    times = [each.time_ms - now_ms() for each in place.attested().values()]
    assert min(times) < -200_000
    assert max(times) > 200_000
    follower = Follower(
        place.place.config.kafka, tmp_path / "routes.json", trust=ReplicaList(place.place.config.replicas).trusts
    )
    follower.start()
    try:
        wait(lambda: len(follower.table().attestations) == 2, "both are in the log")
        wait(
            lambda: len(fresh(place.place.config.controller, follower.table().attestations.values(), now_ms())) == 2,
            "both are fresh",
        )
        assert everywhere(
            fresh(place.place.config.controller, follower.table().attestations.values(), now_ms()), version, digest
        )
    finally:
        follower.close()
    with load(place) as traffic:
        time.sleep(2 * STALE_S)
    assert check(traffic.attempts) == []


def test_a_promotion_under_load_fails_nothing(place: Fleet) -> None:
    first, second = place.adapters
    with load(place) as traffic:
        wait(lambda: len(traffic.attempts) > 20, "the load runs")
        place.place.records.route(second, first)
        wait(lambda: {each.version for each in traffic.attempts[-20:]} == {second}, "the new champion alone answers")
    assert check(traffic.attempts) == []
    assert {each.version for each in traffic.attempts[-20:]} == {second}


def test_a_side_car_that_is_killed_gets_nothing_within_seconds(place: Fleet) -> None:
    dead, well = place.members
    with load(place) as traffic:
        wait(lambda: len(traffic.attempts) > 20, "the load runs")
        at_s = place.kill(dead)
        wait(lambda: serving(place.place) == 1, "the gateway knows", 10 * STALE_S)
        asked, before = dead.asked(), well.asked()
        time.sleep(1)
    failed = check(traffic.attempts)
    assert [each.told() for each in failed if not each.began_s < at_s + 0.5] == []
    assert len(failed) <= CLIENTS
    assert (dead.asked(), well.asked() > before) == (asked, True)
    start_again(place, dead)


def test_one_that_is_told_to_end_leaves_a_tombstone_and_fails_nothing(place: Fleet) -> None:
    leaving = place.members[1]
    assert leaving.side_car is not None
    with load(place) as traffic:
        wait(lambda: len(traffic.attempts) > 20, "the load runs")
        leaving.side_car.terminate()
        assert leaving.side_car.wait(60) == 0
        time.sleep(1)
    assert [each.told() for each in check(traffic.attempts)] == []
    assert place.attested()[leaving.name].gone
    assert [each.replica for each in attestations(place.place.config.kafka)] == [place.members[0].name]
    start_again(place, leaving)


def test_while_kafka_is_away_side_cars_are_believed_and_a_dead_one_is_noticed(place: Fleet) -> None:
    """For far longer than an attestation counts."""
    place.place.kill("kafka")
    place.place.records.close()
    with load(place) as traffic:
        time.sleep(5 * STALE_S)
        assert serving(place.place) == 2
        count, at_s = len(traffic.attempts), place.kill(place.members[0])
        wait(lambda: serving(place.place) == 1, "the gateway knows", 10 * STALE_S)
        time.sleep(1)
    assert check(traffic.attempts[:count]) == []
    assert [each.told() for each in check(traffic.attempts) if not each.began_s < at_s + 0.5] == []
