"""`kill -9` of the gateway, its shipper and the broker at random moments under load."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.serving.blows import Blow, first, strike, unexplained
from tests.bench.serving.captured import captured
from tests.bench.serving.ways import BODY
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.load import request
from tests.serving.support.log_records import ALIAS, VERSIONS
from tests.serving.support.stack import Place, instant
from tests.serving.support.traffic import Attempt, Traffic

KILLS = 10
CLIENTS, PAUSE_S = 8, 0.002
AWAY_S = (0.0, 3.0)  # how long the broker is away


def measured(quick: bool) -> list[Figure]:
    """Each victim in a place of its own."""
    times = KILLS // 5 if quick else KILLS
    return [figure for victim in VICTIMS for figure in struck(victim, times)]


@dataclass(frozen=True, slots=True)
class Victim:
    """Who is killed, and how; `breaks`: requests under way may fail with it."""

    name: str
    blow: Callable[[Place, Traffic, random.Random, int], Blow | None]
    breaks: bool


def gateway(place: Place, traffic: Traffic, rng: random.Random, turn: int) -> Blow:
    """By turns alone, as by a defect, and with all it started, as when its container dies."""
    return strike(place, traffic, "gateway", rng, whole=turn % 2 == 1)


def shipper(place: Place, traffic: Traffic, rng: random.Random, turn: int) -> Blow | None:
    """Whatever the gateway started; it must start it again by itself. None where there is nothing."""
    time.sleep(rng.uniform(0.2, 1.5))
    at_s = time.monotonic()
    children = place.process("gateway").children(recursive=True)
    for child in children:
        child.kill()
    return Blow(at_s, at_s) if children else None


def broker(place: Place, traffic: Traffic, rng: random.Random, turn: int) -> Blow:
    time.sleep(rng.uniform(0.5, 3.0))
    at_s = place.kill("kafka")
    place.records.close()  # its connection would be tried again more and more seldom
    time.sleep(rng.uniform(*AWAY_S))
    place.start("kafka")
    return Blow(at_s, time.monotonic())


VICTIMS = (Victim("gateway", gateway, True), Victim("shipper", shipper, False), Victim("broker", broker, False))


def struck(victim: Victim, times: int) -> list[Figure]:
    """So many blows under load, then what they did."""
    note(f"kill -9 of the {victim.name}, {times} times")
    rng, blows = random.Random(victim.name), []
    with scratch(f"kills-{victim.name}") as folder, instant(folder) as place:
        asked = {**BODY, "model": ALIAS, "signed": True}
        data = [request("/v1/chat/completions", asked, place.key)]
        with Traffic(place.port, data, CLIENTS, PAUSE_S) as traffic:
            for turn in range(times):
                blows.append(victim.blow(place, traffic, rng, turn))
                place.records.route(VERSIONS[turn % 2], VERSIONS[1 - turn % 2])
                note(f"{victim.name}: {turn + 1} of {times}, {len(traffic.attempts):,} requests so far")
            time.sleep(1)
        return told(victim, place, [blow for blow in blows if blow], traffic.attempts)


def told(victim: Victim, place: Place, blows: Sequence[Blow], attempts: Sequence[Attempt]) -> list[Figure]:
    """Attribution, failures and events of one victim."""
    after, of = f"{victim.name} killed {len(blows)} times: ", f"of {len(attempts):,}"
    failed = [each for each in attempts if each.failed]
    wrong = [each for each in attempts if not each.failed and misnamed(each)]
    bad = unexplained(failed, blows) if victim.breaks else failed
    log = captured(place.config.kafka, attempts)
    figures = [
        Figure(f"{after}wrong attribution", len(wrong) + len(log.misnamed(attempts)), "replies", 0, note=of),
        Figure(f"{after}failed, not under way then", len(bad), "requests", 0, note=f"{of}{first(bad)}"),
        Figure(f"{after}whole replies without an event", len(log.lost), "events", 0, note=of),
        Figure(f"{after}events that came twice", log.twice, "events"),
    ]
    if victim.breaks:
        back = statistics.median(blow.back_s - blow.at_s for blow in blows)
        figures += [
            Figure(f"{after}failed, under way then", len(failed) - len(bad), "requests"),
            Figure(f"{after}until the next answer, median", back, "s"),
        ]
    return figures


def misnamed(attempt: Attempt) -> bool:
    """Header, body and words must name one version."""
    return attempt.body["model"] != attempt.version or not attempt.text.endswith(f" {attempt.version}")
