"""Dead replicas: an attestation's age counts while Kafka answers, and a gateway's own connections always do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import prometheus_client
import pytest

from deploy.stack import ports
from serving.gateway.admin.port import serving_admin, show
from serving.routes.attestation_age import Arrivals, Staleness
from serving.routes.attestations import present
from serving.routes.follower import Follower, Snapshot
from serving.routes.routing import NoReplica, RouteTable, pick, served
from streams.events import ReplicaAttested, RouteWritten
from streams.journal.metrics import well
from streams.journal.status import ShipperStatus
from streams.kinds import Arm
from streams.log.availability import Presence, answers
from streams.log.settings import KafkaSettings
from tests.serving.support.scene import Scene
from tests.support.waiting import until

OLD, NEW = "support-aaaaaaaaaaaa", "support-bbbbbbbbbbbb"
DIGESTS = {OLD: "a" * 64, NEW: "b" * 64}


def attested(name: str, time_ms: int = 0, versions: dict[str, str] | None = None) -> ReplicaAttested:
    return ReplicaAttested(
        replica=name,
        url=f"http://{name}",
        time_ms=time_ms,
        healthy=True,
        base_model="base",
        versions=DIGESTS if versions is None else versions,
        generations={},
    )


def table(*replicas: ReplicaAttested, **changes: Any) -> RouteTable:
    given = {"champion": OLD, "adapters": DIGESTS, "time_ms": 0, "by": "test", **changes}
    made = RouteTable().with_route(RouteWritten(alias="support", generation=1, **given))
    for each in replicas:
        made = made.with_attestation(each)
    return made


class Clocks:
    def __init__(self) -> None:
        self.now, self.skew_ms = 1_000.0, 0
        self.since: float | None = 0.0
        self.arrivals = Arrivals(lambda: self.now, lambda: round(self.now * 1_000))
        self.stale = Staleness(self.arrivals, lambda: self.since, 15.0)

    def attest(self, name: str, age_s: float = 0.0, *, live: bool = True) -> None:
        self.arrivals.note([attested(name, round((self.now - age_s) * 1_000) + self.skew_ms)], live=live)


@pytest.mark.parametrize("skew_s", [-3_600, 0, 3_600])
def test_an_attestation_ages_from_when_it_came_whatever_the_other_clock_says(skew_s: int) -> None:
    clocks = Clocks()
    clocks.skew_ms = 1_000 * skew_s
    clocks.attest("r")
    for later, stale in ((14.0, frozenset()), (2.0, {"r"}), (600.0, {"r"})):
        clocks.now += later
        assert clocks.stale() == stale
    clocks.attest("r")
    clocks.now += 1
    assert not clocks.stale()


def test_what_is_read_of_the_past_is_as_old_as_it_says() -> None:
    clocks = Clocks()
    clocks.attest("r", age_s=3_600, live=False)
    assert clocks.stale() == {"r"}


def test_a_replica_that_was_taken_away_is_forgotten_after_a_day_of_silence(tmp_path: Path) -> None:
    """Its last attestation stays in the log for ever: it would be unhealthy for ever."""
    day_ms = 86_400_000
    known = [attested("r1", 8 * day_ms), attested("r2", 7 * day_ms), attested("gone", 7 * day_ms - 1)]
    snapshot = tmp_path / "routes.json"
    snapshot.write_bytes(msgspec.json.encode(Snapshot(attestations=known)))
    show(table(*known))
    show(Follower(KafkaSettings(), snapshot).table())
    found = {name: prometheus_client.REGISTRY.get_sample_value("homeostat_replica_healthy", {"replica": name})
             for name in ("r1", "r2", "gone")}  # fmt: skip
    assert found == {"r1": 1.0, "r2": 1.0, "gone": None}
    assert present(known[1:]) == known[1:]  # none attested since: all of them may be down


def test_no_one_is_stale_while_kafka_is_away_nor_just_after() -> None:
    clocks = Clocks()
    clocks.attest("r")
    clocks.since = None
    clocks.now += 600
    assert not clocks.stale()
    clocks.since = clocks.now
    clocks.now += 14
    assert not clocks.stale()
    clocks.now += 2
    assert clocks.stale() == {"r"}


def test_a_stale_replica_is_asked_last_and_one_that_fails_too_not_at_all() -> None:
    made = table(attested("r1"), attested("r2"))
    one, both = frozenset({"r1"}), frozenset({"r1", "r2"})
    for turn in range(4):
        assert pick(made, "support", "x", {"r2": 9}, turn=turn, stale=one).replica == "r2"
        assert pick(made, "support", "x", {}, avoid=frozenset({"r2"}), turn=turn, stale=one).replica == "r1"
        assert pick(made, "support", "x", {}, avoid=one, turn=turn, stale=both).replica == "r2"
    with pytest.raises(NoReplica):
        pick(made, "support", "x", {}, avoid=both, stale=both)
    assert served(made, "support", one)
    assert not served(made, "support", both)


def test_a_canary_on_a_dead_replica_is_no_canary() -> None:
    made = table(
        attested("r1", versions={NEW: DIGESTS[NEW]}),
        attested("r2", versions={OLD: DIGESTS[OLD]}),
        canary=NEW,
        weight=0.999999,
    )
    dead = frozenset({"r1"})
    assert pick(made, "support", "x", {"r2": 1}).arm is Arm.CANARY
    assert pick(made, "support", "x", {}, avoid=dead, stale=dead).version == OLD


async def test_a_dead_replica_gets_no_traffic_is_not_healthy_and_the_gateway_says_so() -> None:
    scene, stale = Scene(), frozenset({"engine-0"})
    scene.settings = replace(scene.settings, avoid_s=30.0)
    scene.stale = lambda: stale
    (admin,) = ports.free(1)
    async with scene.running(), serving_admin("127.0.0.1", admin, lambda: scene.table, health=scene.gateway.health):
        assert [(await scene.post()).status for _ in range(6)] == [200] * 6
        assert (len(scene.engines[0].bodies), await healthy(scene, admin)) == (0, {"engine-0": 0.0, "engine-1": 1.0})
        stale = frozenset({"engine-0", "engine-1"})  # the process that attests is gone: both are asked
        assert [(await scene.post()).status for _ in range(4)] == [200] * 4
        assert await ready(scene, admin) == 200
        await scene.engines[0].stop()
        assert [(await scene.post()).status for _ in range(4)] == [200] * 4
        await scene.engines[1].stop()
        assert [(await scene.post()).status for _ in range(2)] == [503] * 2
        assert await ready(scene, admin) == 503
        assert (await scene.post()).error["code"] == "no_replica"


async def test_with_kafka_away_the_gateways_own_connections_tell_who_is_well() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, avoid_s=30.0)
    (admin,) = ports.free(1)
    async with scene.running(), serving_admin("127.0.0.1", admin, lambda: scene.table, health=scene.gateway.health):
        await scene.engines[0].stop()
        assert [(await scene.post()).status for _ in range(6)] == [200] * 6
        assert await healthy(scene, admin) == {"engine-0": 0.0, "engine-1": 1.0}


async def healthy(scene: Scene, admin: int) -> dict[str, float]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{admin}/metrics") as reply:
        await reply.read()
    found = {name: prometheus_client.REGISTRY.get_sample_value("homeostat_replica_healthy", {"replica": name})
             for name in ("engine-0", "engine-1")}  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


async def ready(scene: Scene, admin: int) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{admin}/readyz") as reply:
        return reply.status


@contextmanager
def broker(*, silent: bool = False) -> Iterator[str]:
    """Something that answers as a broker does, or takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(b"\0\0\0\6\0\0\0\1\0\0")

        if not silent:
            threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def connected(client: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value("homeostat_kafka_connected", {"client": client})


async def test_a_metric_says_whether_kafka_answers() -> None:
    fine = True
    with broker() as server, Presence(KafkaSettings(f"127.0.0.1:1, {server}"), "one", lambda: fine, 0.05):
        await until(lambda: connected("one") == 1.0)
        fine = False
        assert connected("one") == 0.0
        fine = True
        assert connected("one") == 1.0
    with broker() as server, Presence(KafkaSettings(server), "two", every_s=0.05):
        await until(lambda: connected("two") == 1.0)
        with Presence(KafkaSettings("127.0.0.1:1"), "gone", every_s=0.05) as gone:
            assert (connected("gone"), gone.answers) == (0.0, False)


def test_a_broker_that_takes_connections_and_says_nothing_does_not_answer() -> None:
    with broker(silent=True) as server:
        assert not answers(KafkaSettings(server), 0.2)
    assert not answers(KafkaSettings("127.0.0.1:1,nowhere.invalid:9092"), 0.2)


@pytest.mark.parametrize(
    ("time_ms", "error", "fine"), [(9_000, "", True), (9_000, "broker is away", False), (-5_000, "", False)]
)
def test_a_shipper_is_connected_where_it_is_at_work_without_trouble(time_ms: int, error: str, fine: bool) -> None:
    found = ShipperStatus(
        time_ms=time_ms, connected=True, lag_bytes=0, published={}, dropped={}, damaged_bytes=0, error=error
    )
    assert well(found, 10.0) == fine
    assert not well(None, 10.0)
