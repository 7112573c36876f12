"""Labels until harm is found where a judge model scores replies too: the code that ships, on the judge's scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.traffic.goals import figure
from tests.monitor.support.audited import Judge, binary, coin, graded
from tests.monitor.support.judging import delays, learned

DELAYS = (400, 20)  # whole and quick
LEARNED = 20  # healthy times, each of which says anew how much the judge is worth
WHAT = "labels until 0.9 -> 0.8 is found, % against labels alone"
CASES: tuple[tuple[str, Judge, Judge, float, float], ...] = (  # name, now, when it was learned, share, away
    ("a judge that says yes or no", binary, binary, 1.0, 0.0),
    ("a judge that says how sure", graded, graded, 1.0, 0.0),
    ("a coin that was a judge", coin, binary, 1.0, 0.0),
    ("a coin that always was one", coin, coin, 1.0, 0.0),
    ("of a quarter of the replies, yes or no", binary, binary, 0.25, 0.0),
    ("away for a twentieth of them, yes or no", binary, binary, 1.0, 0.05),
)


def judges(quick: bool) -> list[Figure]:
    """Labels to find accuracy 0.9 -> 0.8 with an audit of a twentieth, against the same labels alone."""
    return list(_found(DELAYS[quick]))


def _found(times: int) -> Iterator[Figure]:
    for name, judge, before, share, away in CASES:
        note(name)
        states = [learned(before, share, seed) for seed in range(min(LEARNED, times))]
        pairs = [delays(judge, states[seed % len(states)], seed, share, away) for seed in range(times)]
        alone, powered = np.array(pairs, dtype=float).T
        ratio = float(powered.mean() / alone.mean())
        error = 1.96 * float((powered - ratio * alone).std() / alone.mean()) / times**0.5
        change, worst = 100 * (ratio - 1.0), 100 * (ratio - 1.0 + error)
        yield figure(f"{WHAT}: {name}", worst, "%", "bad end of 95 %", "mean", change)
