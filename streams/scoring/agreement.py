"""How far a judge model can be believed: its scores and people's, on replies that have both. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.metrics import exact_match

RIGHT = 0.5
CLASS = 48  # characters of a label that may be one of a few: an answer unlike it is wrong
Pairs = Sequence[tuple[float, float]]  # the judge's score and a person's


class JudgeAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """The judge against people."""

    rows: int  # that have both scores
    agreement: float | None  # share of the rows that both call good (at least 0.5), or both bad; None without rows
    mean_error: float | None  # mean distance of the scores
    bias: float | None  # mean of the judge's score less the person's: above 0 the judge is too mild
    correlation: float | None  # of the scores; None where either is always the same


def agreement(pairs: Pairs) -> JudgeAgreement:
    """Return how the judge's scores agree with people's.

    >>> found = agreement([(0.9, 1.0), (0.8, 0.0), (0.1, 0.0)])
    >>> found.rows, round(found.agreement, 2), round(found.mean_error, 2), round(found.bias, 2)
    (3, 0.67, 0.33, 0.27)
    """
    if not pairs:
        return JudgeAgreement(rows=0, agreement=None, mean_error=None, bias=None, correlation=None)
    count = len(pairs)
    return JudgeAgreement(
        rows=count,
        agreement=sum((judge >= RIGHT) == (person >= RIGHT) for judge, person in pairs) / count,
        mean_error=math.fsum(abs(judge - person) for judge, person in pairs) / count,
        bias=math.fsum(judge - person for judge, person in pairs) / count,
        correlation=_correlation(pairs),
    )


def person_score(output: str, given: Mapping[str, Any]) -> float | None:
    """Return a person's score of a reply: the score or the thumb that was given; else, by its label, 1 where the answer
    is equal, 0 where the label is one of a few (short) and it is not. None where a text says nothing of how bad it is.

    >>> person_score("Lost card.", {"label": "lost card"}), person_score("Hi", {"thumb": False})
    (1.0, 0.0)
    """
    if given.get("score") is not None:
        return float(given["score"])
    if given.get("thumb") is not None:
        return float(given["thumb"])
    label = given.get("label") or given.get("correction") or ""
    if label and exact_match(output, label):
        return 1.0
    return 0.0 if 0 < len(label) <= CLASS else None


def _correlation(pairs: Pairs) -> float | None:
    centres = [math.fsum(column) / len(pairs) for column in zip(*pairs, strict=True)]
    away = [(judge - centres[0], person - centres[1]) for judge, person in pairs]
    spread = math.sqrt(math.fsum(x * x for x, _ in away) * math.fsum(y * y for _, y in away))
    return math.fsum(x * y for x, y in away) / spread if spread > 0 else None
