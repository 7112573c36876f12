"""Two hundred swaps in a row under load, on two real vLLM replicas: nobody fails, and every reply is by whom it says.

A hundred are a rollout's: the candidate is attested everywhere before it is promoted. In the others the new champion
comes unannounced, and most of them must be loaded first; what a load, the probe and a reply take is asked of the
engines themselves, under the same load, to hold it against."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streams.events import InferenceServed
from streams.log.read import read
from streams.topics import INFERENCE
from tests.bench.serving import unaided
from tests.bench.serving.pair import ENGINES, Pair, attests, pair
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.bench.tools.usage import usage
from tests.serving.support.stack import Place
from tests.serving.support.traffic import Attempt, Traffic
from tests.support.waiting import wait

SWAPS, WARM_UP = 100, 20  # every adapter was loaded before memory is looked at
APART_S = (0.9, 1.4)
AFTER_S = (0.1, 0.3)  # asking who attests what is work too
CLIENTS, PAUSE_S = 4, 0.05
MEMORY_MIB = 20  # that an engine may grow by


@dataclass(frozen=True, slots=True)
class Swap:
    """A new champion, and when its record was about to be written."""

    version: str
    decided_s: float


def measured(quick: bool) -> list[Figure]:
    """All figures of the swaps."""
    count = SWAPS // 10 if quick else SWAPS
    with scratch("swaps") as folder, pair(folder) as two:
        with Traffic(two.place.port, two.requests(), CLIENTS, PAUSE_S) as traffic:
            wait(lambda: len(traffic.attempts) > 50, "the load runs")
            list(swapped(two, traffic, WARM_UP, random.Random(1)))
            before = engines_mib(two.place)
            sudden = list(swapped(two, traffic, count, random.Random(2)))
            promoted = list(swapped(two, traffic, count, random.Random(3), announced=True))
            after = engines_mib(two.place)
            note("a load, the probe and a reply, asked of the engines themselves")
            alone = unaided.measured(two, 10 if quick else 100)
            time.sleep(1)
        replicas = replica_of(two.place, traffic.attempts)
    grown = max(late - early for early, late in zip(before, after, strict=True))
    return [
        *correctness(two, traffic.attempts),
        *speed("promotion to first reply", promoted, traffic.attempts, replicas),
        *speed("promotion to first reply, unannounced", sudden, traffic.attempts, replicas),
        *alone,
        Figure("a reply's time among all of it: median", _median(times(traffic.attempts)), "ms"),
        Figure(
            f"more memory of an engine after {2 * count} swaps",
            grown,
            "MiB",
            MEMORY_MIB,
            note=f"from {max(before):.0f}",
        ),
    ]


def swapped(two: Pair, traffic: Traffic, count: int, rng: random.Random, *, announced: bool = False) -> Iterator[Swap]:
    """One after the other, each once the last has answered. Most need the adapter to be loaded; `announced`: that is
    done, and attested by both replicas, before it is promoted."""
    records, adapters = two.place.records, [each.version for each in two.adapters]
    champion = records.champion
    for i in range(count):
        version = rng.choice([name for name in adapters if name != champion])
        if announced:
            records.route(champion, canary=version)
            wait(lambda version=version: all(attests(two.place, name, version) for name in ENGINES), "attested", 60)  # type: ignore[misc]
            time.sleep(rng.uniform(*AFTER_S))
        swap = Swap(version, time.monotonic())
        records.route(swap.version, champion)
        champion = swap.version
        wait(lambda swap=swap: answered(traffic.attempts[-50:], swap), f"a reply by {champion}", 60)  # type: ignore[misc]
        yield swap
        if i % 10 == 9:
            note(f"{i + 1} of {count} swaps")
        time.sleep(max(0.0, swap.decided_s + rng.uniform(*APART_S) - time.monotonic()))


def times(attempts: Sequence[Attempt]) -> list[float]:
    """Milliseconds of each whole answer."""
    return [each.answer.ms for each in attempts if each.answer]


def answered(attempts: Sequence[Attempt], swap: Swap) -> bool:
    return any(each.version == swap.version and each.ended_s > swap.decided_s for each in attempts)


def correctness(two: Pair, attempts: Sequence[Attempt]) -> list[Figure]:
    """Failures, and replies by another than they name."""
    failed = [each for each in attempts if each.failed]
    wrong = [each for each in attempts if not each.failed and misattributed(two, each)]
    of = f"of {len(attempts):,}"
    why = f"{of}; the first: {failed[0].told()[:160]}" if failed else of
    return [
        Figure("requests that failed during the swaps", len(failed), "requests", 0, note=why),
        Figure("replies not by the version they name", len(wrong), "replies", 0, note=of),
    ]


def misattributed(two: Pair, attempt: Attempt) -> bool:
    """Header, body and words must be of one version."""
    words = two.expected.get(attempt.version, {}).get(two.telling[attempt.question])
    return attempt.body["model"] != attempt.version or attempt.text != words


def speed(what: str, swaps: Sequence[Swap], attempts: Sequence[Attempt], replicas: Mapping[str, str]) -> list[Figure]:
    """From before the route's record is written to the first reply: by anybody, and by the slower replica."""
    first, last = [], []
    for swap, until_s in zip(swaps, [*(each.decided_s for each in swaps[1:]), float("inf")], strict=True):
        ours = [a for a in attempts if swap.decided_s < a.ended_s < until_s and a.version == swap.version]
        by = [[a.ended_s for a in ours if replicas.get(a.event_id) == name] for name in ENGINES]
        first.append((min(a.ended_s for a in ours) - swap.decided_s) * 1_000)
        last += [(max(map(min, by)) - swap.decided_s) * 1_000] if all(by) else []
    alone = f"{len(swaps)} swaps"
    both = f"{len(last)} of {len(swaps)} swaps in which both answered before the next"
    return [
        Figure(f"{what}: median", statistics.median(first), "ms", 100, note=alone),
        Figure(f"{what}: p99", _p99(first), "ms", 500, note=alone),
        Figure(f"{what} by the slower replica: median", _median(last), "ms", None, note=both),
        Figure(f"{what} by the slower replica: p99", _p99(last), "ms", None, note=both),
    ]


def replica_of(place: Place, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Which replica gave each reply, as the events say; waits until they are all there."""
    wanted = {each.event_id for each in attempts if not each.failed}
    found: dict[str, str] = {}

    def complete() -> bool:
        found.update({r.event.id: r.event.replica for r in read(place.config.kafka, INFERENCE, InferenceServed)})
        return wanted <= set(found)

    wait(complete, "an event of every reply", 60)
    return found


def engines_mib(place: Place) -> list[float]:
    return [usage(place.process(name)).mib for name in ENGINES]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else float("nan")


def _p99(values: Sequence[float]) -> float:
    import numpy as np

    return float(np.quantile(values, 0.99)) if values else float("nan")
