"""Of several controllers one looks after an engine: all agree on which, by the log alone, whatever is killed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from serving.replica.standby import Standby
from streams.events import ReplicaAttested

SILENT_S, EVERY_S = 10.0, 5.0


def attested(by: str, replica: str = "engine-0") -> ReplicaAttested:
    return ReplicaAttested(
        replica=replica, url="http://e", time_ms=0, healthy=True, base_model="b", versions={}, generations={}, by=by
    )


@dataclass
class World:
    """Controllers whose clocks differ by minutes, and one log with a time of its own."""

    now_s: float = 1_000.0
    log: list[tuple[ReplicaAttested, int]] = field(default_factory=list)
    answering: dict[str, float | None] = field(default_factory=dict)
    controllers: dict[str, Standby] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    attested_at: dict[str, float] = field(default_factory=dict)

    def start(self, name: str, skew_s: float) -> None:
        self.answering[name] = self.now_s + skew_s
        self.controllers[name] = Standby(name, SILENT_S, lambda: self.answering[name], lambda: self.now_s + skew_s)
        self.read[name] = 0

    def reads(self, name: str) -> None:
        for event, at_ms in self.log[self.read[name] :]:
            self.controllers[name].note(event, at_ms)
        self.read[name] = len(self.log)

    def acts(self, name: str) -> None:
        """Attest where it may, every EVERY_S."""
        if self.controllers[name].mine("engine-0") and self.now_s - self.attested_at.get(name, -99.0) >= EVERY_S:
            self.log.append((attested(name), int(self.now_s * 1_000)))
            self.attested_at[name] = self.now_s

    def turn(self, names: list[str]) -> None:
        for name in names:
            self.reads(name)
            self.acts(name)
        self.now_s += 0.5

    def keepers(self, names: list[str]) -> set[str]:
        for name in names:
            self.reads(name)
        return {name for name in names if self.controllers[name].mine("engine-0")}


def test_of_two_that_begin_at_once_the_first_record_decides_and_both_know() -> None:
    world = World()
    for name in ("a", "b"):
        world.start(name, 0.0)
        world.reads(name)
    world.acts("b")
    world.acts("a")  # it has not read b's yet
    assert world.keepers(["a", "b"]) == {"b"}


def test_a_second_one_takes_over_once_the_first_is_silent_and_before_gateways_take_the_replica_for_stale() -> None:
    world = World()
    world.start("a", 0.0)
    for _ in range(20):
        world.turn(["a"])
    world.start("b", 600.0)
    for _ in range(60):
        world.turn(["a", "b"])
    assert world.keepers(["a", "b"]) == {"a"}
    killed_s = world.now_s
    while world.keepers(["b"]) != {"b"}:
        world.turn(["b"])
    assert SILENT_S - EVERY_S <= world.now_s - killed_s < 15.0


def test_one_that_froze_and_comes_back_finds_that_it_has_lost_the_engine() -> None:
    world = World()
    world.start("a", 0.0)
    world.start("b", -600.0)
    for _ in range(20):
        world.turn(["a", "b"])
    for _ in range(60):  # a is frozen
        world.turn(["b"])
    world.acts("a")  # before it has read on
    for _ in range(60):
        world.turn(["a", "b"])
        assert world.keepers(["a", "b"]) == {"b"}


def test_silence_counts_only_while_kafka_answers() -> None:
    world = World()
    world.start("a", 0.0)
    world.start("b", 0.0)
    for _ in range(10):
        world.turn(["a", "b"])
    world.answering["b"] = None
    world.now_s += 600.0
    assert world.controllers["b"].cut_off
    assert not world.controllers["b"].mine("engine-0")
    world.answering["b"] = world.now_s
    assert not world.controllers["b"].mine("engine-0")


def test_records_of_earlier_releases_give_the_engine_to_nobody() -> None:
    world = World()
    world.start("a", 0.0)
    world.controllers["a"].note(attested(""), 5)
    assert world.controllers["a"].mine("engine-0")


@pytest.mark.parametrize("seed", range(20))
def test_whoever_is_killed_frozen_or_begun_again_there_is_one_in_the_end(seed: int) -> None:
    rng, world, up = random.Random(seed), World(), set[str]()
    names = ["a", "b", "c"]
    for name in names:
        world.start(name, rng.uniform(-600, 600))
        up.add(name)
    for _ in range(400):
        if rng.random() < 0.05:
            up.symmetric_difference_update({rng.choice(names)})
        if rng.random() < 0.02:  # begun again: it knows the log alone
            world.start(name := rng.choice(names), rng.uniform(-600, 600))
            up.add(name)
        world.turn(sorted(up, key=lambda _: rng.random()))
    up.add("a")
    for _ in range(80):
        world.turn(sorted(up))
    assert len(world.keepers(sorted(up))) == 1
