"""Losses: how bad an answer is, from 0 (as it should have been) to 1 (wrong). A metric that is yes or no gives nothing
but 0 and 1; a graded one gives what lies between, too.

>>> of_score(0.43), of_verdict(False), is_graded([0.0, 1.0]), is_graded([0.0, 0.57])
(0.57, 1.0, False, True)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

UNLABELLED = -1.0  # in place of a loss
DIGITS = 4  # of a loss: those of the bets on differences (`monitor.detectors.paired`)
WRONG = 0.5  # a loss from which on an answer counts as wrong where somebody wants a yes or no


def of_score(score: float) -> float:
    """Return the loss of an answer that a metric gave this score from 0 to 1. Raise ValueError for another number."""
    return checked(round(1.0 - score, DIGITS) + 0.0)


@overload
def of_verdict(correct: bool) -> float: ...
@overload
def of_verdict(correct: bool | None) -> float | None: ...
def of_verdict(correct: bool | None) -> float | None:
    """Return the loss of an answer that was right or wrong; None where that is not known."""
    return None if correct is None else float(not correct)


def loss_or_verdict(loss: float | None, correct: bool | None) -> float | None:
    """Return the loss of what has one, or else a verdict from before losses. Raise ValueError for what is no loss."""
    return of_verdict(correct) if loss is None else checked(loss)


def checked(loss: float) -> float:
    """Return the loss. Raise ValueError where it is none; NaN is none."""
    if not 0.0 <= loss <= 1.0:
        raise ValueError(f"loss is {loss}, expected a number from 0 (right) to 1 (wrong)")
    return loss


def is_graded(losses: Iterable[float]) -> bool:
    """Return whether a loss lies between 0 and 1."""
    return any(0.0 < loss < 1.0 for loss in losses)
