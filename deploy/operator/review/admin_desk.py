"""The desk as the gateway's admin port asks it. The lake's libraries are imported when they are needed: a gateway may
run without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.config.settings import Config
from deploy.operator.review.desk import ReviewDesk
from serving.gateway.admin.reviews import AnswerAsked, ChoiceAsked, Json


@dataclass(frozen=True, slots=True)
class AdminDesk:
    """`serving.gateway.admin.reviews.Desk`, of this installation."""

    config: Config

    def listed(self, alias: str) -> Json:
        """Return the queue."""
        return {"items": self._desk.queue(alias)}

    def shown(self, alias: str, by: str, skip: Sequence[str]) -> Json:
        """Return the next item."""
        found = self._desk.next(alias, by, skip)
        return {"item": found and {"id": found.id, "question": found.question, "answer": found.answer}}

    def answered(self, alias: str, by: str, answer: AnswerAsked) -> Json:
        """Take an answer; whether it was a spot check is not shown."""
        from deploy.operator.review.answers import ReviewAnswer

        self._desk.take(alias, [ReviewAnswer(answer.id, answer.verdict, answer.text, answer.score)], by)
        return {"id": answer.id, "by": by}

    def pair(self, alias: str, by: str) -> Json:
        """Return two answers to compare."""
        return {"pair": next(self._desk.pairs(alias, by), None)}

    def chosen(self, alias: str, by: str, choice: ChoiceAsked) -> Json:
        """Take a choice, and give no name away."""
        self._desk.prefer(alias, choice.pair, choice.choice, by)
        return {"pair": choice.pair, "by": by}

    def candidates(self) -> Json:
        """Return the candidates that wait for people's approval."""
        return {"candidates": self._desk.candidates()}

    @property
    def _desk(self) -> ReviewDesk:
        return ReviewDesk(self.config)
