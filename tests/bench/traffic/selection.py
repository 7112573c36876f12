"""What labels are worth by who chose them: promotions by the gate that ships, on rows whose labels came about in
different ways; complaints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deploy.show.intervals import wilson
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.traffic.goals import figure
from tests.monitor.support.complaining import watched
from tests.monitor.support.drawing import HEALTHY, TOLD, followed
from tests.retrain.support.selected_gate import CHOICES, promoted

SEED = 1
DECISIONS, DELAYS, CALM = (1_000, 20), (400, 20), (1_000, 5)  # whole and quick
GAIN, DISCORDANT = 0.1, 0.2
WORSE = (-0.05, -0.1, -0.2)
POWER = ("audit", "audit, a tenth missing")
UNDECIDED = "audit, a third missing"


def verdicts(quick: bool) -> list[Figure]:
    """Candidates that are worse or better, by who chose the labels that judge them."""
    return [*_bad(DECISIONS[quick]), *_good(DECISIONS[quick])]


def complaints(quick: bool) -> list[Figure]:
    """Complaints of 1 % of right and 8 % of wrong answers, at 100,000 replies between false alarms."""
    return list(_complained(DELAYS[quick], CALM[quick]))


def drawn(quick: bool) -> list[Figure]:
    """Labels of replies that were drawn by doubt, weighed up to four times: false alarms on healthy versions, and harm
    of 0.1 -> 0.3."""
    return list(_drawn(20 if not quick else 4, 100 if not quick else 20))


def _drawn(healthy: int, times: int) -> Iterator[Figure]:
    for wrong in (0.1, 0.3):
        note(f"drawn labels: healthy, {wrong:.0%} wrong")
        runs = [followed(wrong, 20_000, seed, told=TOLD) for seed in range(healthy)]
        alarms = sum(len(run.world.alarms("quality")) for run in runs) / healthy
        weighed = f"weights to {max(run.weighed for run in runs):.1f}"
        yield figure(f"false quality alarms in 20,000 healthy labels: drawn, {wrong:.0%} wrong", alarms, "", weighed)
    note("drawn labels: harm")
    found = [followed(0.1, HEALTHY + 2_000, seed, then=0.3).labels - HEALTHY for seed in range(times)]
    late = 100 * sum(each > 500 for each in found) / times
    middle = f"median {int(np.median(found))} labels"
    yield figure("harm of 0.1 -> 0.3 not found within 500 drawn labels, %", late, "%", middle)


def _bad(runs: int) -> Iterator[Figure]:
    for name in CHOICES:
        if name == UNDECIDED:
            continue
        for gain in WORSE:
            note(f"{name}: {100 * gain:+g} points")
            share = 100 * promoted(name, gain, DISCORDANT, runs, SEED)
            yield figure(f"worse candidates promoted, %: {name}, {100 * gain:+g} points", share, "%")


def _good(runs: int) -> Iterator[Figure]:
    fair = 100 * promoted("random", GAIN, DISCORDANT, runs, SEED)
    yield Figure("better candidates promoted, %: random", fair, "%")
    for name in POWER:
        note(f"{name}: {100 * GAIN:+g} points")
        share = 100 * promoted(name, GAIN, DISCORDANT, runs, SEED)
        yield Figure(f"better candidates promoted, %: {name}", share, "%", fair - 5.0, "higher", "random", fair)
    share = 100 * promoted(UNDECIDED, GAIN, DISCORDANT, runs, SEED, "inconclusive")
    yield figure(f"better candidates inconclusive, %: {UNDECIDED}", share, "%")


def _complained(times: int, healthy: int) -> Iterator[Figure]:
    note("complaints: accuracy 0.9 -> 0.6")
    found = sum((watched(0.6, 2_500, seed)[1] or 9_999) <= 2_500 for seed in range(times))
    low = 100 * wilson(found, times)[0]
    yield figure("complaints found within 2,500 matured replies, %", 100 * found / times, "%", "", "low end", low)
    note("complaints: healthy")
    alarms = sum(watched(0.9, 100_000, 10_000 + seed)[1] is not None for seed in range(healthy))
    high = 100 * wilson(alarms, healthy)[1]
    name = "healthy runs of 100,000 replies in which complaints alarm, %"
    yield figure(name, 100 * alarms / healthy, "%", "", "high end", high)
