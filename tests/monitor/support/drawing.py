"""Labels of drawn replies through the judge: rounds of replies, a draw of each by doubts that know something of the
answers, and its labels a while later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.selection.weights import drawn, probabilities, weight
from monitor.settings import MonitorSettings
from tests.monitor.support.world import VERSION, World

SOURCE = "wanted/reviewer"
SETTINGS = MonitorSettings(reference_events=100)
TOLD = (0.2, 0.95)  # of the wrong answers look doubtful, before and after something harmless has changed
ROUND, SHARE = 500, 0.1
HEALTHY = 350  # labels, of which most say what is usual


@dataclass(frozen=True)
class DrawnRun:
    """`labels`: given before the alarm, or all; `weighed`: the largest weight."""

    world: World
    labels: int
    weighed: float


def followed(
    wrong: float,
    labels: int,
    seed: int,
    *,
    then: float | None = None,
    told: tuple[float, float] = (0.8, 0.8),
    weighing: bool = True,
) -> DrawnRun:
    """Label until an alarm, or so many labels. `wrong`: the share of wrong answers; `then`: after `HEALTHY` labels.
    `told`: of the wrong answers look doubtful, before and after; of the others a twentieth does. Serves only what is
    needed for a version to be under watch: labels come from the lake, long after."""
    at, rng, count, most = World(SETTINGS, seed), np.random.default_rng(seed), 0, 0.0
    at.serve(SETTINGS.reference_events)
    at.now_ms += 3_600_000
    for turn in range(labels):
        later = count >= HEALTHY
        bad = rng.random(ROUND) < (wrong if then is None or not later else then)
        doubts = np.where(rng.random(ROUND) < np.where(bad, told[later], 0.05), 1.0, 0.02)
        chances = probabilities(doubts.tolist(), SHARE)
        share = sum(chances) / ROUND
        picked = [k for k, chance in enumerate(chances) if drawn(f"{turn}-{k}", chance, str(seed))]
        weights = [weight(share, chances[k]) if weighing else 1.0 for k in picked]
        at.now_ms += 600_000
        at.label(
            [f"{VERSION}-{turn}-{k}" for k in picked],
            [not bad[k] for k in picked],
            origin=SOURCE,
            weights=weights,
        )
        count, most = count + len(picked), max(most, *weights, 0.0) if weights else most
        if at.alarms("quality") or count >= labels:
            break
    return DrawnRun(at, count, most)
