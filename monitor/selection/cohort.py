"""Replies that are judged at one age, in their order, whether a label came by then or not.

Labels of wrong answers may come sooner than those of right ones, or at all. A test that takes them as they come sees
errors in bunches, and a rate that depends on who answers first. So each reply of a cohort waits until it is as old as
the labels of its source take, and is then one row: with its loss, or without.

What is missing counts against what is claimed. `lowest` takes it for right: the mean loss of a test that says "worse"
is then at most the true one. `highest` takes it for wrong: a limit from the reference is then at least the true rate.
So harm that is proven between the two is harm whatever the missing labels would be.

The memory is bounded: of more than `KEPT` waiting replies those stay whose hash is even, then those that are divisible
by four, and so on: by numbers that know nothing of the answers.

>>> state = joined(Cohort(), [CohortReply(k, (f"e{k}", k), k, k) for k in range(4)])
>>> state = labelled(state, {1: 1.0, 3: 0.0})
>>> state, steps = matured(state, before_ms=3)
>>> [(step.count, step.lowest, step.highest) for step in steps], len(state.waiting)
([(1, 0.0, 1.0), (1, 1.0, 1.0), (1, 0.0, 1.0)], 1)
>>> state.seen, round(state.covered, 2)
(3, 0.33)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec
from msgspec.structs import replace

from monitor.detectors.interface import Moment

KEPT = 2_000  # replies that wait
LOOKED_AT = 400  # replies that say what share gets a label, about: later ones count more
COMPLETE = 0.95  # of a source that is declared complete, at least
SLACK = 0.015  # two standard errors of what `LOOKED_AT` replies say of `COMPLETE`
MISSING = -1.0


class CohortReply(msgspec.Struct, frozen=True, array_like=True):
    """A reply that waits. `step`: equal for those that are judged as one, which follow each other; `at_ms`: since when
    it waits, the same for all of a step. `gap`: how far its estimated loss is from the mean of its neighbours
    (`monitor.detectors.powered`). `key`: the API key that asked, where that matters."""

    print: int
    moment: Moment
    step: int
    at_ms: int
    loss: float = MISSING
    gap: float = 0.0
    key: str = ""


class Cohort(msgspec.Struct, frozen=True):
    """The replies that wait, in their order, and the share of older ones that had a label in time."""

    waiting: dict[int, CohortReply] = {}  # by their hash
    halvings: int = 0  # of the replies that are taken
    seen: int = 0  # replies that were judged
    covered: float = 0.0  # share of the last ones that had a label


class CohortStep(msgspec.Struct, frozen=True):
    """Replies that are judged as one. `losses`: of those that had a label in time."""

    replies: Sequence[CohortReply]

    @property
    def first(self) -> Moment:
        """Return the first reply."""
        return self.replies[0].moment

    @property
    def count(self) -> int:
        """Return how many replies they are."""
        return len(self.replies)

    @property
    def losses(self) -> list[float]:
        """Return the losses of those that had a label in time."""
        return [each.loss for each in self.replies if each.loss != MISSING]

    @property
    def lowest(self) -> float:
        """Return their mean loss if all the missing ones were right."""
        return sum(self.losses) / self.count

    @property
    def highest(self) -> float:
        """Return their mean loss if all the missing ones were wrong."""
        return (sum(self.losses) + self.count - len(self.losses)) / self.count

    @property
    def gap(self) -> float:
        """Return the mean of their gaps."""
        return sum(each.gap for each in self.replies) / self.count


def joined(state: Cohort, replies: Sequence[CohortReply]) -> Cohort:
    """Return the cohort with more replies, which came after the others."""
    waiting, halvings = dict(state.waiting), state.halvings
    for reply in replies:
        if reply.print % 2**halvings:
            continue
        waiting[reply.print] = reply
        if len(waiting) > KEPT:
            halvings += 1
            waiting = {one: each for one, each in waiting.items() if one % 2**halvings == 0}
    return replace(state, waiting=waiting, halvings=halvings)


def labelled(state: Cohort, losses: Mapping[int, float]) -> Cohort:
    """Return the cohort with the losses of replies, by their hash, that wait and have none yet: a reply's first label
    counts."""
    given = {
        one: replace(waits, loss=loss)
        for one, loss in losses.items()
        if (waits := state.waiting.get(one)) is not None and waits.loss == MISSING
    }
    return replace(state, waiting=state.waiting | given) if given else state


def matured(state: Cohort, before_ms: int) -> tuple[Cohort, list[CohortStep]]:
    """Take out the replies that have waited since before `before_ms`, as steps in the order of the replies."""
    done = [reply for reply in state.waiting.values() if reply.at_ms < before_ms]
    if not done:
        return state, []
    waiting = {one: reply for one, reply in state.waiting.items() if reply.at_ms >= before_ms}
    seen, covered = state.seen, state.covered
    for reply in done:
        seen += 1
        covered += ((reply.loss != MISSING) - covered) / min(seen, LOOKED_AT)
    halvings = max(0, state.halvings - 1) if 4 * len(waiting) < KEPT else state.halvings
    steps = [CohortStep(list(each)) for _, each in groupby(done, key=lambda reply: reply.step)]
    return Cohort(waiting, halvings, seen, covered), steps


def holds(state: Cohort, withdrawn: bool = False) -> bool:
    """Return whether the share with a label is that of a complete source. Once the declaration is withdrawn it must be
    reached again; until then it must have fallen by more than chance explains.

    >>> [holds(Cohort(seen=500, covered=0.94), withdrawn) for withdrawn in (False, True)]
    [True, False]
    """
    return state.covered >= (COMPLETE if withdrawn else COMPLETE - SLACK)
