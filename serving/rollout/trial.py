"""The trial: do clients complain less of the canary? It decides between two arms what the gate left open for want of
fair labels.

Who complains is volunteered, and says nothing of how many answers are wrong. But the arms are drawn at random, so
whatever makes people complain or stay silent is alike in both: a difference between the arms is the version's. The unit
is a session: a conversation, else an end user, for a while; its loss is the share of its replies that were complained
of, and silence is no complaint. The margin is relative: what share of bad answers a complaint stands for is not known.

Two e-processes on sessions of either arm in the order in which they matured (`monitor.detectors.paired`): evidence that
the candidate's mean loss is below `1 - margin` times the champion's, and that it is above `1 + margin` times. Each is
wrong with probability at most `alpha`, however often one looks.

>>> rng = np.random.default_rng(0)
>>> sessions = [Session(i % 2 == 0, float(rng.random() < (0.05 if i % 2 == 0 else 0.3))) for i in range(400)]
>>> trial_verdict(update_trial(start_trial(0.1, 0.05, 60.0), sessions)).state
'better'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from monitor.detectors.paired import STAKES, Arms, e_value, e_value_against, start_arms, update_arms

FOUR_OF_FIVE = 0.8416  # standard deviations below the mean: so many are above


class Session(msgspec.Struct, frozen=True, array_like=True):
    """A session that has matured. `candidate`: whether its arm is the candidate's. `loss`: the share of its replies
    that were complained of."""

    candidate: bool
    loss: float


class ComplaintTrial(msgspec.Struct, frozen=True):
    """Everything seen of both arms. `fewer` compares with a share of the champion's loss, `more` with a multiple."""

    margin: float
    alpha: float
    longest_s: float
    fewer: Arms
    more: Arms
    sessions: int = 0
    losses: tuple[float, float] = (0.0, 0.0)  # the champion's sum, the candidate's
    counts: tuple[int, int] = (0, 0)  # likewise


class TrialVerdict(msgspec.Struct, frozen=True):
    """better: complaints fell by more than the margin; worse: they rose by more; open: nothing is proven."""

    state: Literal["better", "worse", "open"]
    reason: str


def start_trial(margin: float, alpha: float, longest_s: float) -> ComplaintTrial:
    """Return a trial that has seen nothing."""
    return ComplaintTrial(margin, alpha, longest_s, start_arms(alpha), start_arms(alpha))


def update_trial(trial: ComplaintTrial, sessions: Sequence[Session]) -> ComplaintTrial:
    """Take sessions in the order in which they matured."""
    if not sessions:
        return trial
    low, high = 1.0 - trial.margin, 1.0 + trial.margin
    fewer = [(each.candidate, each.loss if each.candidate else low * each.loss) for each in sessions]
    more = [(each.candidate, each.loss / high if each.candidate else each.loss) for each in sessions]
    sums, counts = list(trial.losses), list(trial.counts)
    for each in sessions:
        sums[each.candidate] += each.loss
        counts[each.candidate] += 1
    return ComplaintTrial(
        trial.margin,
        trial.alpha,
        trial.longest_s,
        update_arms(trial.fewer, fewer),
        update_arms(trial.more, more),
        trial.sessions + len(sessions),
        (round(sums[0], 9), round(sums[1], 9)),
        (counts[0], counts[1]),
    )


def trial_verdict(trial: ComplaintTrial) -> TrialVerdict:
    """Return the verdict, with the share of the replies complained of in each arm."""
    champion, candidate = (total / max(count, 1) for total, count in zip(trial.losses, trial.counts, strict=True))
    seen = f"complaints of {candidate:.2%}, the champion's {champion:.2%}, in {trial.sessions} sessions"
    if e_value_against(trial.fewer.paired) >= 1 / trial.alpha:
        return TrialVerdict("better", seen)
    return TrialVerdict("worse" if e_value(trial.more.paired) >= 1 / trial.alpha else "open", seen)


def sessions_needed(rate: float, fall: float, margin: float, alpha: float, weight: float) -> int | None:
    """Return how many sessions of both arms together prove, in four of five cases or more, that complaints fell by the
    share `fall` from `rate` of the sessions. None where no number does: the fall is within the margin.

    >>> sessions_needed(0.1, 0.5, margin=0.1, alpha=0.05, weight=0.5), sessions_needed(0.1, 0.1, 0.1, 0.05, 0.5)
    (2389, None)
    """
    low, after = 1.0 - margin, rate * (1.0 - fall)
    chances = np.array([rate * (1 - after), after * (1 - rate), rate * after])
    logs = np.log1p(np.outer(STAKES, [low, -1.0, low - 1.0]))  # of the wealth's factors, for each stake
    growth = logs @ chances
    spread = FOUR_OF_FIVE * np.sqrt((logs**2) @ chances - growth**2)
    target = math.log(len(STAKES) / alpha)
    roots = [(s + math.sqrt(s * s + 4 * g * target)) / (2 * g) for g, s in zip(growth, spread, strict=True) if g > 0]
    return math.ceil(min(roots) ** 2 / min(weight, 1.0 - weight)) if roots else None
