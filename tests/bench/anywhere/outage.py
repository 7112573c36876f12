"""Kafka is away for ten minutes under load, and the clocks of the two replicas are ten minutes apart; both are wrong.

    python -m tests.bench.anywhere --only outage [--quick]

Side-cars, gateway and broker are processes of their own; the engines answer at once. Champion and canary answer half
of the requests each, so that a reply can be by the wrong one. Every whole reply must have its event once Kafka is back.
A gateway that takes no connection sends no reply that could fail: connections are counted by themselves."""

from __future__ import annotations

import time

from tests.bench.anywhere.engines import Fakes
from tests.bench.anywhere.goals import figure
from tests.bench.serving.blows import first
from tests.bench.serving.captured import captured
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.fleet import Fleet, fleet, serving
from tests.serving.support.traffic import Traffic
from tests.support.waiting import wait

AWAY_S, QUICK_S, AFTER_S = 600.0, 20.0, 5.0
APART_S = (-300.0, 300.0)
CLIENTS, PAUSE_S = 4, 0.05  # of each after an answer: the journal on disk has its bound


def measured(quick: bool) -> list[Figure]:
    """One outage."""
    seconds = QUICK_S if quick else AWAY_S
    with scratch("outage") as folder:
        note("Kafka, two engines, two side-cars with wrong clocks and a gateway start")
        with fleet(folder, APART_S) as running:
            return _outage(running, seconds)


def _outage(running: Fleet, seconds: float) -> list[Figure]:
    place, engines = running.place, Fakes()
    apart_s = _apart_s(running)
    with Traffic(place.port, engines.requests(place.key), CLIENTS, PAUSE_S) as traffic:
        both(running, traffic)
        note(f"Kafka goes away for {seconds:g} s")
        place.kill("kafka")
        place.records.close()
        before, away_s, believed = len(traffic.attempts), time.monotonic(), list[int]()
        while time.monotonic() < away_s + seconds:
            time.sleep(1.0)
            believed.append(serving(place))
        during = traffic.since(before)
        note("Kafka comes back")
        place.start("kafka")
        time.sleep(AFTER_S)
    whole = [each for each in traffic.attempts if not each.failed]
    failed = [each for each in traffic.attempts if each.failed]
    wrong = [each for each in whole if engines.misnamed(each)]
    log = captured(place.config.kafka, traffic.attempts, 240.0)
    about = f"of {len(traffic.attempts):,}, {len(during):,} of them in {seconds:g} s without Kafka"
    return [
        figure("outage: requests failed", len(failed), "requests", about + first(failed)),
        figure("outage: connections refused", traffic.turned_away, ""),
        figure("outage: replies not by the version they name", len(wrong) + len(log.misnamed(whole)), "replies"),
        figure("outage: whole replies without an event afterwards", len(log.lost), "replies"),
        figure("outage: replicas believed, fewest", min(believed), "of 2", "looked at each second"),
        figure("outage: versions that answered", len({each.version for each in during}), "of 2"),
        figure("outage: clocks apart", apart_s, "s", "by the replicas' own attestations"),
        Figure("outage: slowest reply without Kafka", max(each.ended_s - each.began_s for each in during), "s"),
    ]


def both(running: Fleet, traffic: Traffic) -> None:
    """Champion and canary answer half of the requests each; return once both do."""
    champion, canary = running.adapters
    running.place.records.route(champion, canary=canary, weight=0.5)
    wait(lambda: {champion, canary} <= {each.version for each in traffic.attempts[-50:]}, "replies by both versions")


def _apart_s(running: Fleet) -> float:
    times = [each.time_ms for each in running.attested().values()]
    return (max(times) - min(times)) / 1_000
