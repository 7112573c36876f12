"""Kafka is away for ten minutes under load, and the clocks of the two replicas are ten minutes apart; both are wrong.

    python -m tests.bench.anywhere --only outage [--quick]

Side-cars, gateway and broker are processes of their own; the engines answer at once. Every whole reply must have its
event once Kafka is back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.bench.anywhere.goals import figure
from tests.bench.serving.blows import first
from tests.bench.serving.captured import captured
from tests.bench.serving.kills import misnamed
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.fleet import Fleet, fleet, serving
from tests.serving.support.load import request
from tests.serving.support.log_records import ALIAS
from tests.serving.support.traffic import Attempt, Traffic
from tests.support.waiting import wait

AWAY_S, QUICK_S, AFTER_S = 600.0, 20.0, 5.0
APART_S = (-300.0, 300.0)
CLIENTS, PAUSE_S = 4, 0.05  # of each after an answer: the journal on disk has its bound
BODY = {"model": ALIAS, "messages": [{"role": "user", "content": "Where is my card?"}], "signed": True}


def measured(quick: bool) -> list[Figure]:
    """One outage."""
    seconds = QUICK_S if quick else AWAY_S
    with scratch("outage") as folder:
        note("Kafka, two engines, two side-cars with wrong clocks and a gateway start")
        with fleet(folder, APART_S) as running:
            return _outage(running, seconds)


def _outage(running: Fleet, seconds: float) -> list[Figure]:
    place = running.place
    with Traffic(place.port, [request("/v1/chat/completions", BODY, place.key)], CLIENTS, PAUSE_S) as traffic:
        wait(lambda: len(traffic.attempts) > 50, "the load runs")
        note(f"Kafka goes away for {seconds:g} s")
        place.kill("kafka")
        place.records.close()
        before = len(traffic.attempts)
        time.sleep(seconds)
        during, believed = len(traffic.attempts) - before, serving(place)
        note("Kafka comes back")
        place.start("kafka")
        time.sleep(AFTER_S)
    lost = captured(place.config.kafka, traffic.attempts, 240.0).lost
    about = f"of {len(traffic.attempts):,}, {during:,} of them in {seconds:g} s without Kafka, clocks ten minutes apart"
    return [
        *told("outage", traffic.attempts, lost, about),
        Figure("outage: replicas believed at its end", believed, "of 2"),
    ]


def told(what: str, attempts: Sequence[Attempt], lost: Sequence[Attempt], about: str) -> list[Figure]:
    """What clients got, and what the log has of it."""
    failed = [each for each in attempts if each.failed]
    wrong = [each for each in attempts if not each.failed and misnamed(each)]
    return [
        figure(f"{what}: requests failed", len(failed), "requests", about + first(failed)),
        figure(f"{what}: replies not by the version they name", len(wrong), "replies"),
        figure(f"{what}: whole replies without an event afterwards", len(lost), "replies"),
    ]
