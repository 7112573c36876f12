"""An audit of a twentieth of the replies, and judges that estimate all of their losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from monitor.detectors.interface import Floats
from monitor.detectors.mixture import Reached
from monitor.detectors.powered import Control, GroupLosses, Powered, fitted, gaps
from monitor.detectors.risk import Risk
from monitor.selection.ordered import AIM

AUDITED, GROUP = 0.05, 10
PER_STEP = GROUP * AUDITED / (1.0 - (1.0 - AUDITED) ** GROUP)  # labels of a group that has any
LIMIT, ARL = 0.13, 10_000.0
Judge = Callable[[Floats, Generator], Floats]


def binary(losses: Floats, rng: Generator) -> Floats:
    """Says right or wrong: correlation 0.6 where a fifth is wrong."""
    return (rng.random(len(losses)) < np.where(losses > 0, 0.84, 0.16)).astype(float)


def graded(losses: Floats, rng: Generator) -> Floats:
    """Says how probable it is that the answer is wrong: the same correlation."""
    logits = 1.6 * (rng.standard_normal(len(losses)) + 1.6 * losses) - 1.28 + np.log(0.25)
    sure: Floats = 1.0 / (1.0 + np.exp(-logits))
    return sure


def coin(losses: Floats, rng: Generator) -> Floats:
    return (rng.random(len(losses)) < 0.5).astype(float)


def contrary(losses: Floats, rng: Generator) -> Floats:
    return 1.0 - binary(losses, rng)


def groups(losses: Floats, estimates: Floats, rng: Generator) -> list[GroupLosses]:
    """What an audit of a twentieth makes of replies, in their order; groups without a label are left out."""
    audited = rng.random(len(losses)) < AUDITED
    found = []
    for first in range(0, len(losses), GROUP):
        places = np.flatnonzero(audited[first : first + GROUP]).tolist()
        if places:
            theirs = estimates[first : first + GROUP]
            found.append(
                GroupLosses(losses[first : first + GROUP][places].tolist(), float(np.mean(gaps(theirs, places))))
            )
    return found


def moments(count: int) -> list[tuple[str, int]]:
    return [(str(k), k) for k in range(count)]


def delays(judge: Judge, control: Control, seed: int) -> tuple[int, int]:
    """Labels until a rate of errors of 0.2 is found: alone, and with estimates."""
    rng = np.random.default_rng((9, seed))
    losses = (rng.random(40_000) < 0.2).astype(float)
    steps = groups(losses, judge(losses, rng), rng)
    test, alone = Powered(LIMIT, ARL / PER_STEP, control), Risk(LIMIT, ARL)
    _, found = test.follow(test.start(), steps, moments(len(steps)))
    assert isinstance(found[0], Reached)
    labels = [loss for step in steps for loss in step.losses]
    _, harm = alone.update(alone.start(), labels, moments(len(labels)))
    assert harm is not None
    return harm.step + 1, sum(len(step.losses) for step in steps[: found[0].step + 1])


def learned(judge: Judge) -> Control:
    rng = np.random.default_rng(4)
    losses = (rng.random(400) < 0.1).astype(float)
    return fitted(losses.tolist(), judge(losses, rng).tolist(), LIMIT + AIM, GROUP)
