"""`kill -9` of a real vLLM under load: the other one answers, and the adapters come back by themselves."""

from __future__ import annotations

import random
import statistics
import time

from deploy.stack.processes import ProcessFailed
from tests.bench.serving.blows import first
from tests.bench.serving.captured import captured
from tests.bench.serving.kills import KILLS
from tests.bench.serving.pair import ENGINES, Pair, attests, pair
from tests.bench.serving.swaps import misattributed
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.traffic import Attempt, Traffic
from tests.support.waiting import wait

CLIENTS, PAUSE_S = 4, 0.1
BACK_WITHIN_S = 60.0
START_S, TRIES = 150.0, 3


def measured(quick: bool) -> list[Figure]:
    """All figures; the bench starts the process again, as a supervisor does, and does nothing else."""
    rng, back_s, hung = random.Random("engine"), [], 0
    times = KILLS // 5 if quick else KILLS
    with scratch("kills-engine") as folder, pair(folder) as two:
        one, other = two.adapters[0].version, two.adapters[1].version
        swap(two, other, one)
        with Traffic(two.place.port, two.requests(), CLIENTS, PAUSE_S) as traffic:
            for turn in range(times):
                back, again = struck(two, rng, turn)
                back_s.append(back)
                hung += again
                note(f"engine: {turn + 1} of {times}, {len(traffic.attempts):,} requests so far")
            time.sleep(1)
        return told(two, back_s, hung, traffic.attempts)


def struck(two: Pair, rng: random.Random, turn: int) -> tuple[float | None, int]:
    """From the engine's first healthy answer to the attestation that its adapters are back; None where they never
    are; and how many starts came to nothing. Every other time the champion changes while it is away."""
    place, name = two.place, rng.choice(ENGINES)
    time.sleep(rng.uniform(1, 4))
    place.kill(name, whole=True)
    since_ms = time.time_ns() // 1_000_000
    if turn % 2:
        place.records.route(two.adapters[0].version, two.adapters[1].version)
    hung = started(two, name)
    began_s = time.monotonic()
    try:
        wait(lambda: attests(place, name, place.records.champion, since_ms), "attested", BACK_WITHIN_S)
    except TimeoutError:
        return None, hung
    took_s = time.monotonic() - began_s
    swap(two, two.adapters[1].version, two.adapters[0].version)
    return took_s, hung


def started(two: Pair, name: str) -> int:
    """How many starts came to nothing within START_S and were begun anew. Why is not known, but of one: it had waited
    583 s in the run queue (Linux 6.18), bound to the core on which the other vLLM's worker polls with sched_yield."""
    for hung in range(TRIES):
        try:
            two.place.start(name, within_s=START_S)
        except ProcessFailed as failure:
            note(f"{str(failure).partition(';')[0]}; once more")
        else:
            return hung
    raise RuntimeError(f"{name} did not start, {TRIES} times")


def swap(two: Pair, champion: str, previous: str) -> None:
    """A new champion, once both have it loaded."""
    if two.place.records.champion != champion:
        two.place.records.route(champion, previous)
    wait(lambda: all(attests(two.place, name, champion) for name in ENGINES), "both attest", BACK_WITHIN_S)


def told(two: Pair, back_s: list[float | None], hung: int, attempts: list[Attempt]) -> list[Figure]:
    """Attribution, failures, events, and how soon the adapters were back."""
    after, of = f"engine killed {len(back_s)} times: ", f"of {len(attempts):,}"
    failed = [each for each in attempts if each.failed]
    wrong = [each for each in attempts if not each.failed and misattributed(two, each)]
    log = captured(two.place.config.kafka, attempts)
    known = [each for each in back_s if each is not None]
    return [
        Figure(f"{after}wrong attribution", len(wrong) + len(log.misnamed(attempts)), "replies", 0, note=of),
        Figure(f"{after}requests that failed", len(failed), "requests", 0, note=f"{of}{first(failed)}"),
        Figure(f"{after}whole replies without an event", len(log.lost), "events", 0, note=of),
        Figure(f"{after}events that came twice", log.twice, "events"),
        Figure(f"{after}adapters that did not come back", len(back_s) - len(known), "times", 0),
        Figure(f"{after}starts that came to nothing and were begun anew", hung, "times"),
        Figure(f"{after}adapters back after the engine, median", statistics.median(known or [float("nan")]), "s"),
    ]
