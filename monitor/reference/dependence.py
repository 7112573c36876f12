"""What losses of a reference say of later ones: their mean, and how much they depend on each other.

Wrong answers come in episodes: of one user, of one kind of question. A test that takes them for independent fires far
too often, although their rate is below the limit. So what one person says in a turn is one step, steps are judged in
blocks, and what dependence that leaves between blocks is taken off the bets (`monitor.detectors.blocks`).

>>> known = known_of([1.0, 1.0, 0.0] * 40, [k // 2 for k in range(120)])
>>> known.labelled, known.loss, known.steps
(120, 80.0, 60)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from monitor.describe.people import together
from monitor.detectors.blocks import TOLERATED, Ints, averages, choose_length, inflation, varies
from monitor.detectors.interface import Floats, Moment
from monitor.detectors.mean_bound import Levels, levels
from monitor.losses import is_graded

ERRORS = 2.0  # standard errors of the inflation that are added to it: few labels say little of dependence


class LabelledLosses(msgspec.Struct, frozen=True):
    """Labelled events, and the steps that they are."""

    labelled: int = 0
    loss: float = 0.0  # the sum of theirs
    steps: int = 0
    rate: float = 0.0  # mean loss of a step
    worth: int = 0  # independent steps that would say as much of the rate
    block: int = 1
    inflation: float = 1.0  # of sums of blocks
    levels: Levels = ()  # losses of steps, where some lie between 0 and 1 (`monitor.detectors.mean_bound`)


class OpenBlock(msgspec.Struct, frozen=True, array_like=True):
    """Steps since the last full block."""

    losses: float = 0.0  # their sum
    steps: int = 0
    labels: int = 0
    first: Moment = ("", 0)

    @property
    def loss(self) -> float:
        """Return the block's."""
        return self.losses / self.steps


def known_of(losses: Sequence[float], steps: Sequence[Hashable]) -> LabelledLosses:
    """Return what losses say, in the order of their events. `steps`: equal for those that are one step."""
    groups = together(steps)
    means = np.array([_mean([losses[i] for i in group]) for group in groups]).reshape(-1, 1)
    if not len(means):
        return LabelledLosses()
    paced = pace(means)
    rate, worth, left = float(means.mean()), int(paced.worth[0]), float(paced.inflation[0])
    held = levels(means[:, 0].tolist()) if is_graded(losses) else ()
    return LabelledLosses(len(losses), round(math.fsum(losses), 4), len(means), rate, worth, paced.block, left, held)


def _mean(losses: Sequence[float]) -> float:
    """Return numpy's mean to the last bit; of one loss, which most steps are, thirty times sooner."""
    return losses[0] if len(losses) == 1 else float(np.mean(losses))


@dataclass(frozen=True, slots=True)
class Pace:
    """How steps depend on each other. `block`: so many are judged as one. Of each column `inflation`: what dependence
    that leaves between blocks; `worth`: how many independent steps would say as much of its mean."""

    block: int
    inflation: Floats
    worth: Ints


def pace(steps: Floats) -> Pace:
    """Return it for steps, shape (steps, columns)."""
    block = choose_length(steps)
    means, numbers = averages(steps, block)
    found = inflation(means, numbers)
    power = np.maximum(steps.var(axis=0), 1e-300)
    more = block * means.var(axis=0) / power * found
    more = np.where((more <= TOLERATED) | ~varies(steps), 1.0, more)
    worth = np.maximum(1, len(steps) / more).astype(np.int64)
    return Pace(block, inflation(means, numbers, errors=ERRORS), worth)


def added(block: OpenBlock, length: int, loss: float, labels: int, first: Moment) -> tuple[OpenBlock, OpenBlock | None]:
    """Return the unfinished block with one more step; and, where that completes it, the full one instead."""
    began = block.first if block.steps else first
    block = OpenBlock(block.losses + loss, block.steps + 1, block.labels + labels, began)
    return (OpenBlock(), block) if block.steps >= length else (block, None)
