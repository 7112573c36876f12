"""An alias's scorer: the one way to a loss, for worker, evaluation and command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.losses import of_score
from streams.scoring import metrics
from streams.scoring.rows import AnsweredRow, Grader, Unjudged
from streams.scoring.settings import AnswerMetric, ByCallable, ByRubric, BySchema, ScoringSettings, parsed

MEMORY = Path("scoring") / "judge.sqlite"  # within stack.var


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores the answers of one alias."""

    alias: str
    metric: AnswerMetric
    grader: Grader

    @property
    def name(self) -> str:
        """Return the metric's name, as labels carry it."""
        return self.metric.called

    @classmethod
    def of(cls, metric: object, alias: str, var: Path, at: str = "") -> Scorer:
        """Make the scorer of a metric (as `scoring.metrics` has it, or parsed). Raise ValueError that names setting
        (`at`, where it is another), value and what was expected: a file that is no schema, a function that cannot be
        imported, ..."""
        at = at or f"scoring.metrics.{alias}"
        known = metric if isinstance(metric, AnswerMetric) else parsed(metric, at)
        return cls(alias, known, _grader(known, alias, at, var))

    @classmethod
    def of_judge(cls, settings: ScoringSettings, alias: str, var: Path) -> Scorer:
        """Make the scorer by the alias's judge model. Raise ValueError where it has none, and as `of` does."""
        judge = settings.judge(alias)
        if judge is None:
            metric = settings.metric(alias)
            raise ValueError(f"scoring.metrics.{alias} is {metric}, expected a judge, there or in scoring.judges")
        return cls.of(judge, alias, var, f"scoring.{'judges' if alias in settings.judges else 'metrics'}.{alias}")

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        """Return a score from 0 to 1, the best, for each row, or why it has none; those of `rows.LATER` are worth
        another try. Raises nothing for a row."""
        found = await self.grader.scores(rows)
        for why, count in Counter(each for each in found if isinstance(each, Unjudged)).items():
            metrics.UNJUDGED.labels(self.alias, why).inc(count)
        metrics.SCORED.labels(self.alias).inc(sum(not isinstance(each, Unjudged) for each in found))
        return found

    async def losses(self, rows: Sequence[AnsweredRow]) -> list[float | None]:
        """Return a loss from 0, the best, to 1 for each row; None where nothing is known."""
        return [None if isinstance(each, Unjudged) else of_score(each) for each in await self.scores(rows)]


class Scorers:
    """The scorers of all aliases. Those that the settings name are made at once, so that a process with a wrong one
    does not start."""

    def __init__(self, settings: ScoringSettings, var: Path) -> None:
        """Make them. Raise ValueError as `Scorer.of` does."""
        self._settings, self._var = settings, var
        self._made = {alias: Scorer.of(metric, alias, var) for alias, metric in settings.metrics.items()}

    def of(self, alias: str) -> Scorer:
        """Return the scorer of an alias."""
        return self._made.get(alias) or Scorer.of(self._settings.given(alias), alias, self._var)


def _grader(metric: AnswerMetric, alias: str, at: str, var: Path) -> Grader:
    """The modules are imported here: each needs a library that other metrics do without."""
    if isinstance(metric, BySchema):
        from streams.scoring.schema import SchemaGrader

        return SchemaGrader(metric.schema, f"{at}.schema")
    if isinstance(metric, ByRubric):
        from streams.scoring.rubric import RubricGrader

        return RubricGrader(metric, alias, var / MEMORY, at=at)
    if isinstance(metric, ByCallable):
        from streams.scoring.dotted import CallableGrader, imported

        return CallableGrader(imported(metric.callable, f"{at}.callable"), metric.timeout_s)
    from streams.scoring.named import NamedGrader

    return NamedGrader(metric.name)
