"""The judge models that score replies without a label: which replies, and how."""

from __future__ import annotations

from pathlib import Path

from monitor.selection.audit import chosen
from streams.events import InferenceServed
from streams.kinds import Arm
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ByRubric, ScoringSettings


class ReplyJudges:
    """The judges of those aliases that have one with a share. They are made at once, so that a process with a wrong one
    does not start.

    Their replies are chosen by the hash that chooses those of an audit: so a judge with a larger share scores all
    audited ones, and these are a random part of what it scores (`monitor.selection.neighbours`)."""

    def __init__(self, settings: ScoringSettings, var: Path) -> None:
        """Make them. Raise ValueError as `Scorer.of` does."""
        self._judges: dict[str, ByRubric] = {}
        self._scorers: dict[str, Scorer] = {}
        for alias in dict.fromkeys((*settings.judges, *settings.metrics)):
            judge = settings.judge(alias)
            if judge is not None and judge.share:
                self._judges[alias] = judge
                self._scorers[alias] = Scorer.of_judge(settings, alias, var)

    @property
    def aliases(self) -> list[str]:
        """Return the aliases whose replies are scored."""
        return list(self._judges)

    def of(self, alias: str) -> Scorer:
        """Return the judge of an alias."""
        return self._scorers[alias]

    def asked(self, event: InferenceServed) -> str:
        """Return the name of the judge that scores this reply; empty where none does."""
        if event.arm is not Arm.CHAMPION or event.status != 200 or not event.comparable:
            return ""
        return self.chosen(event.alias, event.id)

    def chosen(self, alias: str, id: str) -> str:
        """Return the same of a whole reply of the champion, by its id."""
        judge = self._judges.get(alias)
        return judge.source if judge is not None and chosen(id, judge.share) else ""
