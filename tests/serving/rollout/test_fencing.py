"""The first record of a generation wins, in a real log: a writer that is late or was asleep changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from serving.rollout import operations
from serving.rollout.runner import Rollouts
from serving.rollout.state import RolloutState
from serving.routes.follower import Follower
from serving.routes.routing import RouteTable
from streams import ledger
from streams.events import Event, ReplicaAttested, RetrainReported, RouteWritten
from streams.identity import version_name
from streams.kinds import RetrainStatus
from streams.log.append import Writer
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import ATTESTATIONS, RESULTS, ROUTES, SCORES, Topic
from tests.serving.support.controller_process import SETTINGS
from tests.serving.support.rollout_world import RolloutWorld
from tests.support.waiting import wait

ROOT = Path(__file__).parents[3]
DIGESTS = {name: letter * 64 for name, letter in (("old", "a"), ("new", "b"), ("other", "c"))}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Alias:
    """One of the test's own, in the session's log."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self.kafka, self.name, self.writer = kafka, name, Writer(kafka, "test")
        self.versions = {key: version_name(name, digest) for key, digest in DIGESTS.items()}
        self.result = RetrainReported(
            request_id=f"request-{name}",
            alias=name,
            status=RetrainStatus.PROMOTE,
            time_ms=now_ms() + 60_000,
            by="trainer",
            candidate=self.versions["new"],
            digest=DIGESTS["new"],
        )
        self.promote("old")

    def promote(self, which: str) -> RouteWritten:
        return operations.promote(self.kafka, self.name, self.versions[which], DIGESTS[which], "human")

    def put(self, topic: Topic, event: Event) -> None:
        self.writer.append(topic, event, id=f"{self.name}/{time.time_ns()}", time_ms=now_ms())

    def attest(self) -> None:
        versions = {self.versions[key]: DIGESTS[key] for key in ("old", "new")}
        self.put(
            ATTESTATIONS,
            ReplicaAttested(
                replica="engine-0",
                url="http://e",
                time_ms=now_ms(),
                healthy=True,
                base_model="b",
                versions=versions,
                generations={},
            ),
        )

    def replies(self, count: int) -> None:
        batch = RolloutWorld().batch("good", count).event
        known = {"support-" + "a" * 12: self.versions["old"], "support-" + "b" * 12: self.versions["new"]}
        rows = msgspec.structs.replace(batch.rows, versions=[known[version] for version in batch.rows.versions])
        first = now_ms()  # higher than any before
        rows = msgspec.structs.replace(rows, offsets=[first + i for i in range(len(rows))])
        last = rows.offsets[-1]
        self.put(
            SCORES,
            msgspec.structs.replace(batch, alias=self.name, rows=rows, first_offset=first, last_offset=last),
        )

    @property
    def records(self) -> list[RouteWritten]:
        return [r.event for r in read(self.kafka, ROUTES, RouteWritten) if r.event.alias == self.name]

    @property
    def route(self) -> RouteWritten:
        return operations.routes(self.kafka)[self.name]

    @property
    def summaries(self) -> list[str]:
        return [each.summary for each in ledger.read(self.kafka) if each.alias == self.name]


class Racer:
    """A controller in this process that appends a route only when the others are about to as well."""

    def __init__(self, alias: Alias, name: str, folder: Path, gate: threading.Barrier) -> None:
        self.alias, self.gate = alias, gate
        self.follower = Follower(alias.kafka, folder / f"{name}.json")
        self.follower.start()
        assert self.follower.wait(10)
        self.writer = Writer(alias.kafka, f"controller/{name}")
        self.rollouts = Rollouts(SETTINGS, self.table, self.append, f"controller/{name}")
        self.rollouts.offer(alias.result)

    def table(self) -> RouteTable:
        """Without the other tests' aliases."""
        table = self.follower.table()
        return RouteTable({self.alias.name: table.routes[self.alias.name]}, table.attestations)

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        if isinstance(event, RouteWritten):
            self.gate.wait(10)
        return self.writer.append(topic, event, id=id, time_ms=time_ms)

    def close(self) -> None:
        self.follower.close()
        self.writer.close()


def test_of_two_writers_of_one_generation_one_wins_and_the_other_sees_it(kafka: KafkaSettings, tmp_path: Path) -> None:
    alias, gate = Alias(kafka, "race"), threading.Barrier(2)
    racers = [Racer(alias, name, tmp_path, gate) for name in ("a", "b")]
    threads = [threading.Thread(target=racer.rollouts.tick, args=(now_ms(),)) for racer in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    first, second = [each for each in alias.records if each.generation == 2]
    assert first.by != second.by
    for racer in racers:
        assert racer.table().routes[alias.name] == first
        assert racer.rollouts.active[alias.name].state is RolloutState.LOADING
    wait(lambda: alias.route == first, "everyone reads the same")
    for racer in racers:
        racer.rollouts.tick(now_ms())
        racer.close()
    assert alias.route == first


def test_an_operator_who_loses_a_generation_has_the_next_one(kafka: KafkaSettings) -> None:
    alias = Alias(kafka, "operators")
    threads = [threading.Thread(target=alias.promote, args=(which,)) for which in ("new", "other")]
    threads.append(threading.Thread(target=operations.pause, args=(kafka, alias.name, "human")))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert alias.route.generation == 4
    assert alias.route.paused
    assert alias.route.champion in (alias.versions["new"], alias.versions["other"])


def test_a_writer_that_has_not_read_on_writes_into_the_void(kafka: KafkaSettings, tmp_path: Path) -> None:
    alias = Alias(kafka, "stale")
    racer = Racer(alias, "stale", tmp_path, threading.Barrier(1))
    before = racer.table()
    alias.promote("other")
    racer.rollouts._context.table = lambda: before
    racer.rollouts.tick(now_ms())
    lost = alias.records[-1]
    assert (lost.by, lost.generation, lost.canary) == ("controller/stale", 2, alias.versions["new"])
    assert (alias.route.generation, alias.route.champion, alias.route.canary) == (2, alias.versions["other"], None)
    racer.rollouts._context.table = racer.table
    wait(lambda: racer.table().routes[alias.name].by == "human", "it reads on")
    written = len(alias.records)
    racer.rollouts.tick(now_ms())
    assert racer.rollouts.active == {}
    assert len(alias.records) == written
    racer.close()


@contextmanager
def process(kafka: KafkaSettings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "tests.serving.support.controller_process",
        kafka.bootstrap,
        str(folder / "p.json"),
    ]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_controller_that_slept_through_a_humans_act_changes_nothing(kafka: KafkaSettings, tmp_path: Path) -> None:
    alias = Alias(kafka, "asleep")
    alias.attest()
    alias.put(RESULTS, alias.result)
    with process(kafka, tmp_path) as controller:
        wait(lambda: alias.route.weight > 0, "the canary begins")
        os.kill(controller.pid, signal.SIGSTOP)
        alias.attest()
        alias.replies(10)  # all that is lacking for its promotion
        human = alias.promote("other")
        os.kill(controller.pid, signal.SIGCONT)
        wait(
            lambda: any(f"was written by {human.by}" in each for each in alias.summaries),
            "it sees the human",
            60,
        )
        assert alias.route == human
        assert max(each.generation for each in alias.records) == human.generation
