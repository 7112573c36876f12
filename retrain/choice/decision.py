"""The choice among candidates that were trained on one dataset and answered the same rows; pure.

The best is the one with the highest mean score. Another does as well where the gate's paired test proves that it is not
worse by more than `retrain.margin`, for each of the gate's groups too. The best was picked for its score on these very
rows, which flatters it: that makes it harder for the others to be called as good, never easier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from retrain.data.example import Example
from retrain.evaluation.gate import GateInput, judge
from retrain.evaluation.pairs import slices, united
from retrain.settings import RetrainSettings

Standing = Literal["best", "not worse", "worse", "unknown"]
STANDINGS: dict[str, Standing] = {"promote": "not worse", "reject": "worse", "inconclusive": "unknown"}


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate after its training, with the score of each row that it answered and that could be scored."""

    name: str
    model: str
    recipe: str
    parameters: int  # of the base model
    adapter_parameters: int
    train_seconds: float
    scores: dict[str, float]  # row's id -> from 0 to 1
    left_out: dict[str, int] = {}  # why -> rows without a score

    @property
    def size(self) -> tuple[int, int, float]:
        """What makes one candidate smaller than another: its base, then its adapter, then its training."""
        return self.parameters, self.adapter_parameters, self.train_seconds


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate stands against the best."""

    name: str
    standing: Standing
    score: float  # mean over the rows that it and the best answered
    difference: float  # from the best's mean
    low: float  # of the confidence sequence of the difference
    high: float
    rows: int
    reason: str


class CandidateChoice(msgspec.Struct, frozen=True, kw_only=True):
    """All candidates, the smallest first, and the one that is chosen."""

    placings: list[Placing]
    best: str
    chosen: str  # the smallest that is not worse than the best; the best where none is


def choose(contestants: Sequence[Contestant], rows: Sequence[Example], settings: RetrainSettings) -> CandidateChoice:
    """Return the choice. Raise ValueError where no row was answered by all.

    >>> from streams.messages import Message
    >>> rows = [Example(id=str(i), messages=[Message("user", "?")], completion="", source="") for i in range(90)]
    >>> about = dict(model="m", recipe="r", adapter_parameters=1, train_seconds=1.0)
    >>> found = [
    ...     Contestant(name=n, parameters=p, scores={str(i): float(i < right) for i in range(90)}, **about)
    ...     for n, p, right in [("large", 9, 90), ("middle", 5, 90), ("small", 1, 18)]
    ... ]
    >>> choice = choose(found, rows, RetrainSettings())
    >>> choice.chosen, [(each.name, each.standing) for each in choice.placings]
    ('middle', [('small', 'worse'), ('middle', 'best'), ('large', 'not worse')])
    """
    common = [row for row in rows if all(row.id in each.scores for each in contestants)]
    if not common:
        raise ValueError("no row was answered by all candidates, and scored: nothing can be compared")
    ordered = sorted(contestants, key=lambda each: each.size)
    best = max(ordered, key=lambda each: _mean([each.scores[row.id] for row in common]))
    placings = [_placed(each, best, common, settings) for each in ordered]
    good = next(each.name for each in placings if each.standing in ("best", "not worse"))
    return CandidateChoice(placings=placings, best=best.name, chosen=good)


def _placed(each: Contestant, best: Contestant, rows: Sequence[Example], settings: RetrainSettings) -> Placing:
    pairs = [(each.scores[row.id], best.scores[row.id]) for row in rows]
    units = united(rows, pairs)
    verdict = judge(
        GateInput(
            candidate=each.name,
            champion=best.name,
            target=units,
            regression=units,
            slices=slices(rows, pairs),
            min_gain=-settings.margin,  # on these rows, too, it need not be better
            margin=settings.margin,
            slice_margin=settings.slice_margin,
            min_slice=settings.min_slice,
            alpha=settings.alpha,
        )
    )
    check = verdict.checks[0]
    return Placing(
        name=each.name,
        standing="best" if each.name == best.name else STANDINGS[verdict.status],
        score=round(_mean([mine for mine, _ in pairs]), 6),
        difference=check.estimate,
        low=check.low,
        high=check.high,
        rows=check.rows,
        reason="" if each.name == best.name else verdict.reason,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def shown(contestants: Sequence[Contestant], choice: CandidateChoice) -> list[Mapping[str, str]]:
    """Return the table's rows for people, the smallest candidate first."""
    known = {each.name: each for each in contestants}
    return [
        {
            "candidate": placing.name,
            "parameters": f"{known[placing.name].parameters:,}",
            "adapter": f"{known[placing.name].adapter_parameters:,}",
            "training": f"{known[placing.name].train_seconds:.0f} s",
            "score": f"{placing.score:.3f}",
            "to the best": f"{100 * placing.difference:+.1f} ({100 * placing.low:+.1f} to {100 * placing.high:+.1f})",
            "rows": str(placing.rows),
            "standing": placing.standing,
        }
        for placing in choice.placings
    ]
