"""Three brokers, two gateways, two workers and two replicas, of each of which one is killed under load.

    python -m tests.bench.anywhere --only brokers,vllm [--quick]

Every partition has three copies, of which two must have a record. Engines answer at once, or are vLLM with the tests'
small Llama. Champion and canary answer half of the requests each, and change places before each kill, so that a reply
can be by the wrong one. The broker stays away; gateway, worker and side-car are started again, as whatever runs them
does. What clients got is held against the log and the lake; and what was killed must have worked before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from deploy.stack import ports
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams.topics import INFERENCE
from tests.bench.anywhere.engines import Engines, Fakes, Llamas
from tests.bench.anywhere.goals import figure
from tests.bench.anywhere.outage import both
from tests.bench.serving.blows import NOTICED_S, first
from tests.bench.serving.captured import Captured, captured
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scrape import total
from tests.bench.tools.scratch import scratch
from tests.serving.support.fleet import Fleet, fleet, serving
from tests.serving.support.traffic import Attempt, Traffic
from tests.streams.support import lakes
from tests.streams.support.traffic import Plan, Process, small, within
from tests.support.brokers import ClusterKafka, three_brokers
from tests.support.waiting import wait

GAP_S, QUICK_S = 20.0, 4.0  # between two kills
STARTED_S, DRAINED_S = 240.0, 300.0
CLIENTS, PAUSE_S = 8, 0.03  # the kernel shares connections out: with eight, each gateway has some


@dataclass(slots=True)
class Installation:
    """All that runs. `kills`: what was killed, and when on the monotonic clock."""

    brokers: Sequence[ClusterKafka]
    fleet: Fleet
    plan: Plan
    workers: dict[int, Process]  # by the port of their metrics
    kills: dict[str, float] = field(default_factory=dict)
    replies: dict[str, int] = field(default_factory=dict)  # of gateway and worker, before they were killed

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
        (port,) = place.config.stack.more_gateway_admin_ports
        self.replies["gateway"] = int(total(port, "homeostat_requests_total"))
        place.kill(second, whole=True)
        place.start(second)

    def _worker(self) -> None:
        taken = {port: int(total(port, "homeostat_events_consumed_total")) for port in self.workers}
        busier = max(taken, key=lambda port: taken[port])
        self.replies["worker"] = taken[busier]
        self.workers[busier].kill()
        self.workers[busier].start()

    def _replica(self) -> None:
        victim = self.fleet.members[0]
        self.fleet.kill(victim)
        self.fleet.start_side_car(victim)


VICTIMS = ("broker", "gateway", "worker", "replica")


def measured(quick: bool) -> list[Figure]:
    """One of each, with engines that answer at once."""
    with scratch("brokers") as folder:
        return _measured("brokers", folder, Fakes(), QUICK_S if quick else GAP_S)


def with_vllm(quick: bool) -> list[Figure]:
    """One of each, with two vLLM."""
    with scratch("vllm") as folder:
        return _measured("vllm", folder, Llamas(folder), QUICK_S if quick else GAP_S)


def _measured(what: str, folder: Path, engines: Engines, gap_s: float) -> list[Figure]:
    with running(folder, engines) as place:
        traffic = _struck(place, engines, gap_s)
        whole = {each.event_id for each in traffic.attempts if not each.failed}
        note(f"{len(traffic.attempts):,} requests; log and lake are waited for")
        log = captured(place.plan.kafka, traffic.attempts, DRAINED_S)
        with suppress(AssertionError):  # what is missing then is lost
            wait(lambda: whole <= place.ids().keys(), "the lake", DRAINED_S)
        return told(what, place, traffic, log, place.ids(), engines)


@contextmanager
def running(folder: Path, engines: Engines) -> Iterator[Installation]:
    """All of it, and both workers at work."""
    (folder / "log").mkdir()
    note("three brokers start")
    with three_brokers(folder / "brokers", cache_folder()) as (kafka, brokers):
        create_topics(kafka)
        note("two engines, two side-cars, two gateways and two workers start")
        with fleet(folder, adapters=engines.adapters, brokers=kafka, gateways=2, kind=engines.kind) as pair:
            plan = Plan(kafka, small("brokers"), within(folder / "kept"), MonitorSettings(), PolicySettings())
            workers = {
                port: Process(msgspec.structs.replace(plan, metrics_port=port), folder / "log" / f"worker-{port}.log")
                for port in ports.free(2)
            }
            try:
                for each in workers.values():
                    each.start()
                yield Installation(brokers, pair, plan, workers)
            finally:
                for each in workers.values():
                    each.kill()


def _struck(place: Installation, engines: Engines, gap_s: float) -> Traffic:
    own, adapters = place.fleet.place, list(place.fleet.adapters)
    with Traffic(own.port, engines.requests(own.key), CLIENTS, PAUSE_S) as traffic:
        both(place.fleet, traffic)
        wait(lambda: place.plan.lake.table(INFERENCE) is not None and place.ids(), "the workers work", STARTED_S)
        for name in VICTIMS:
            time.sleep(gap_s)
            adapters.reverse()
            own.records.route(adapters[0], canary=adapters[1], weight=0.5)
            place.strike(name)
        wait(lambda: serving(own) == 2, "the replica is back", STARTED_S)
        time.sleep(gap_s)
    return traffic


def told(
    what: str, place: Installation, traffic: Traffic, log: Captured, lake: Counter[str], engines: Engines
) -> list[Figure]:
    """Lost, doubled and misattributed, of all that clients got."""
    attempts, kills = traffic.attempts, place.kills
    whole = [each for each in attempts if not each.failed]
    missing = [each for each in whole if each.event_id not in log.events or each.event_id not in lake]
    twice = sum(count - 1 for count in lake.values())
    wrong = {each.event_id for each in whole if engines.misnamed(each)}
    wrong |= {each.event_id for each in log.misnamed(whole)}
    failed = [each for each in attempts if each.failed]
    strange = [each for each in failed if not under_way(each, kills)]
    of = f"of {len(attempts):,}, {', '.join(kills)} killed"
    worked = place.replies | {"replica": _replies(place.fleet.members[0].name, whole, log, kills.get("replica", 0.0))}
    killed = ", ".join(f"{name} {count:,}" for name, count in worked.items())
    fewest = "replies by the gateway, the replica, the worker that were killed: fewest"
    return [
        figure(f"{what}: whole replies lost", len(missing), "replies", f"{of}; in log and lake"),
        figure(f"{what}: events doubled", twice, "events", "in the lake"),
        figure(f"{what}: replies misattributed", len(wrong), "replies", of),
        figure(f"{what}: requests failed, not under way at a kill", len(strange), "requests", of + first(strange)),
        figure(f"{what}: connections refused", traffic.turned_away, ""),
        figure(f"{what}: {fewest}", min(worked.values()), "replies", killed),
        figure(f"{what}: versions that answered", len({each.version for each in whole}), "of 2"),
        Figure(f"{what}: requests failed, under way at a kill", len(failed) - len(strange), "requests"),
        Figure(f"{what}: records that came twice to the log", log.twice, "records"),
    ]


def _replies(replica: str, whole: Sequence[Attempt], log: Captured, until_s: float) -> int:
    """How many replies the replica gave before, as their events say."""
    before = (log.events.get(each.event_id) for each in whole if each.ended_s < until_s)
    return sum(event is not None and event.replica == replica for event in before)


def under_way(attempt: Attempt, kills: dict[str, float]) -> bool:
    """Whether gateway or replica died while it was asked; a client that waited in vain until its time was up lost more
    than what died had in hand."""
    times = [kills[name] for name in ("gateway", "replica") if name in kills]
    dying = any(attempt.began_s < at_s + NOTICED_S and attempt.ended_s >= at_s for at_s in times)
    return dying and not attempt.broken.startswith("TimeoutError")
