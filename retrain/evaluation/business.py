"""The further metric by which a candidate must not be worse: one that scores answers, or a downstream system's scores.

A downstream system scores what was served, the champion's answers. Where the candidate gives the same answer, the score
is its own. Where it gives another, its worth is not known and counts as nothing: the claim must hold at the worst. So a
candidate that changes what was worth nothing loses nothing, one that changes what was worth much must be few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monitor.metrics import normalise
from retrain.data.example import Example
from retrain.evaluation.evaluate import EngineAnswer
from retrain.evaluation.gate import UNJUDGED, UNJUDGED_ALONE
from retrain.settings import DOWNSTREAM, RetrainSettings, business
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.scorer import Scorer

Answered = tuple[Example, EngineAnswer, EngineAnswer]  # a row with the candidate's and the champion's answer
Pairs = list[tuple[float, float] | None]


class Business(Protocol):
    """A source of both sides' scores by a further metric."""

    async def pairs(self, answered: Sequence[Answered]) -> Pairs:
        """Return both sides' scores of each row, None where they are not known."""


@dataclass(frozen=True, slots=True)
class ScoredFurther:
    """A metric that scores answers. A candidate's answer that cannot be judged counts as the worst; a row is left out
    where the champion's cannot."""

    scorer: Scorer

    async def pairs(self, answered: Sequence[Answered]) -> Pairs:
        """Return both sides' scores."""
        found = await scored(self.scorer, answered, worst=True)
        return [None if isinstance(pair, str) else pair for pair in found]


@dataclass(frozen=True, slots=True)
class ScoredDownstream:
    """The scores that a downstream system gave to served answers, by the reply's id."""

    scores: Mapping[str, float]

    async def pairs(self, answered: Sequence[Answered]) -> Pairs:
        """Return both sides' scores, where the champion still gives the answer that was scored."""
        return [self._pair(*each) for each in answered]

    def _pair(self, row: Example, candidate: EngineAnswer, champion: EngineAnswer) -> tuple[float, float] | None:
        served, score = normalise(row.predicted), self.scores.get(row.id)
        if score is None or normalise(champion.text) != served:
            return None
        return (score if normalise(candidate.text) == served else 0.0), score


def business_of(settings: RetrainSettings, alias: str, downstream: Mapping[str, float]) -> Business | None:
    """Return the further metric that the settings name, if any. Raise ValueError."""
    if not settings.business_metric:
        return None
    if settings.business_metric.startswith(DOWNSTREAM):
        return ScoredDownstream(downstream)
    try:
        return ScoredFurther(Scorer.of(business(settings.business_metric), alias, Path()))
    except ValueError as error:
        raise ValueError(f"retrain.business_metric: {error}") from error


async def scored(scorer: Scorer, whole: Sequence[Answered], worst: bool = False) -> list[tuple[float, float] | str]:
    """Return both sides' scores of each row, or why it is left out: the sides are scored in one go, by the same judge.
    With `worst`, a candidate's answer that alone could not be judged scores 0."""
    sides = [[_answered(row, given[side]) for row, *given in whole] for side in (0, 1)]
    found = await scorer.scores([*sides[0], *sides[1]])
    pairs = zip(found[: len(whole)], found[len(whole) :], strict=True)
    return [_pair(0.0 if worst and isinstance(mine, Unjudged) else mine, theirs) for mine, theirs in pairs]


def _pair(candidate: float | Unjudged, champion: float | Unjudged) -> tuple[float, float] | str:
    if isinstance(champion, Unjudged):
        return UNJUDGED
    return UNJUDGED_ALONE if isinstance(candidate, Unjudged) else (candidate, champion)


def _answered(row: Example, given: EngineAnswer) -> AnsweredRow:
    return row.answered(given.text, given.choices)
