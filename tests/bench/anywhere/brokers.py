"""Three brokers, two gateways, two workers and two replicas, of each of which one is killed under load.

    python -m tests.bench.anywhere --only brokers [--quick]

Every partition has three copies, of which two must have a record. The engines answer at once, and each answer ends with
the version that gave it. The broker stays away; gateway, worker and side-car are started again, as whatever runs them
does. What clients got is held against the log and the lake."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams.log.settings import KafkaSettings
from streams.topics import INFERENCE
from tests.bench.anywhere.goals import figure
from tests.bench.anywhere.outage import BODY, CLIENTS
from tests.bench.serving.blows import NOTICED_S, first
from tests.bench.serving.captured import Captured, captured
from tests.bench.serving.kills import misnamed
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.fleet import Fleet, fleet, serving
from tests.serving.support.load import request
from tests.serving.support.traffic import Attempt, Traffic
from tests.streams.support import lakes
from tests.streams.support.traffic import Plan, Process, small, within
from tests.support.brokers import ClusterKafka, three_brokers
from tests.support.waiting import wait

GAP_S, QUICK_S = 20.0, 4.0  # between two kills
STARTED_S, DRAINED_S = 240.0, 300.0
PAUSE_S = 0.02


@dataclass(slots=True)
class Installation:
    """All that runs. `kills`: what was killed, and when on the monotonic clock."""

    brokers: Sequence[ClusterKafka]
    fleet: Fleet
    plan: Plan
    workers: Sequence[Process]
    kills: dict[str, float] = field(default_factory=dict)

    def strike(self, name: str) -> None:
        """Kill one of that kind, and start it again, but for the broker."""
        note(f"kill -9 of a {name}")
        self.kills[name] = time.monotonic()
        {"broker": self._broker, "gateway": self._gateway, "worker": self._worker, "replica": self._replica}[name]()

    def ids(self) -> Counter[str]:
        """The replies in the lake."""
        return lakes.ids(self.plan.lake, INFERENCE)

    def _broker(self) -> None:
        self.brokers[0].kill()

    def _gateway(self) -> None:
        place = self.fleet.place
        second = list(place.config.stack.gateways())[1]  # to start the first its port must be free
        place.kill(second, whole=True)
        place.start(second)

    def _worker(self) -> None:
        self.workers[0].kill()
        self.workers[0].start()

    def _replica(self) -> None:
        victim = self.fleet.members[0]
        self.fleet.kill(victim)
        self.fleet.start_side_car(victim)


VICTIMS = ("broker", "gateway", "worker", "replica")


def measured(quick: bool) -> list[Figure]:
    """One of each."""
    with scratch("brokers") as folder, running(folder) as place:
        attempts = _struck(place, QUICK_S if quick else GAP_S)
        whole = {each.event_id for each in attempts if not each.failed}
        note(f"{len(attempts):,} requests; log and lake are waited for")
        log = captured(place.plan.kafka, attempts, DRAINED_S)
        with suppress(AssertionError):  # what is missing then is lost
            wait(lambda: whole <= place.ids().keys(), "the lake", DRAINED_S)
        return told(attempts, place.kills, log, place.ids())


@contextmanager
def running(folder: Path) -> Iterator[Installation]:
    """All of it, and both workers at work."""
    (folder / "log").mkdir()
    note("three brokers start")
    with three_brokers(folder / "brokers", cache_folder()) as (kafka, brokers):
        create_topics(kafka)
        note("two engines, two side-cars, two gateways and two workers start")
        with fleet(folder, brokers=kafka, gateways=2) as both:
            plan = _plan(kafka, folder)
            workers = [Process(plan, folder / "log" / f"worker-{number}.log") for number in range(2)]
            try:
                for each in workers:
                    each.start()
                yield Installation(brokers, both, plan, workers)
            finally:
                for each in workers:
                    each.kill()


def _plan(kafka: KafkaSettings, folder: Path) -> Plan:
    return Plan(kafka, small("brokers"), within(folder / "kept"), MonitorSettings(), PolicySettings())


def _struck(place: Installation, gap_s: float) -> list[Attempt]:
    own = place.fleet.place
    with Traffic(own.port, [request("/v1/chat/completions", BODY, own.key)], CLIENTS, PAUSE_S) as traffic:
        wait(lambda: len(traffic.attempts) > 50, "the load runs")
        wait(lambda: place.plan.lake.table(INFERENCE) is not None and place.ids(), "the workers work", STARTED_S)
        for name in VICTIMS:
            time.sleep(gap_s)
            place.strike(name)
        wait(lambda: serving(own) == 2, "the replica is back", STARTED_S)
        time.sleep(gap_s)
    return traffic.attempts


def told(attempts: Sequence[Attempt], kills: dict[str, float], log: Captured, lake: Counter[str]) -> list[Figure]:
    """Lost, doubled and misattributed, of all that clients got."""
    whole = [each for each in attempts if not each.failed]
    missing = [each for each in whole if each.event_id not in log.events or each.event_id not in lake]
    twice = sum(count - 1 for count in lake.values())
    wrong = {each.event_id for each in whole if misnamed(each)} | {each.event_id for each in log.misnamed(whole)}
    failed = [each for each in attempts if each.failed]
    strange = [each for each in failed if not under_way(each, kills)]
    of = f"of {len(attempts):,}, {', '.join(kills)} killed"
    return [
        figure("brokers: whole replies lost", len(missing), "replies", f"{of}; in log and lake"),
        figure("brokers: events doubled", twice, "events", "in the lake"),
        figure("brokers: replies misattributed", len(wrong), "replies", of),
        figure("brokers: requests failed, not under way at a kill", len(strange), "requests", of + first(strange)),
        Figure("brokers: requests failed, under way at a kill", len(failed) - len(strange), "requests"),
        Figure("brokers: records that came twice to the log", log.twice, "records"),
    ]


def under_way(attempt: Attempt, kills: dict[str, float]) -> bool:
    """Whether gateway or replica died while it was asked."""
    times = [kills[name] for name in ("gateway", "replica") if name in kills]
    return any(attempt.began_s < at_s + NOTICED_S and attempt.ended_s >= at_s for at_s in times)
