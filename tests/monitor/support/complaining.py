"""An application whose users complain: of 1 % of the right and 8 % of the wrong answers, within some time."""

from __future__ import annotations

import numpy as np

from monitor.detectors.risk import ProvenHarm
from monitor.selection.cohort import CohortReply
from monitor.selection.complaints import ComplaintRules, Complaints, complained, replied

ARL = 100_000.0
WAIT = 300  # replies, one a millisecond
BATCH = 250


def complaint_rate(accuracy: float) -> float:
    return 0.01 * accuracy + 0.08 * (1.0 - accuracy)


def watched(accuracy: float, replies: int, seed: int, healthy: float = 0.9) -> tuple[Complaints, int | None]:
    """Learn at the healthy accuracy, then serve so many replies at the other one. Return the state, and how many had
    matured when an alarm was raised."""
    rng, rules = np.random.default_rng((21, seed)), ComplaintRules(arl=ARL, wait_ms=WAIT)
    state, first, armed = complained(Complaints(), {-1: 1}, 1), 1, 0
    while not armed or first - armed <= replies + WAIT + BATCH:
        prints = rng.integers(0, 2**47, BATCH).tolist()
        served = [CohortReply(one, (str(k), k), k, k, key="app") for k, one in enumerate(prints, first)]
        first += BATCH
        state, turned = replied(rules, state, served, first)
        if any(isinstance(each.change, ProvenHarm) for each in turned):
            return state, max(1, int(turned[0].last[0]) - armed)
        armed = armed or (first if state.limit is not None else 0)
        crossed = rng.random(BATCH) < complaint_rate(accuracy if armed else healthy)
        given = {
            one: int(rng.integers(1, WAIT - BATCH)) for one, each in zip(prints, crossed.tolist(), strict=True) if each
        }
        state = complained(state, given, first)
    return state, None
