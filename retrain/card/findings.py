"""What the step `evaluate` leaves for the model card: figures, and no text of a client's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from retrain.card.measures import AnswerMeasures, measured
from retrain.data.example import Example
from retrain.evaluation.comparison import EngineSource
from retrain.evaluation.fairness.audit import FairnessAudit, audited
from retrain.evaluation.fairness.counterfactual import GroupSwaps, swapped_groups
from retrain.evaluation.fairness.terms import GroupTerms
from retrain.evaluation.gate import GateInput
from retrain.settings import RetrainSettings
from streams.scoring.settings import SET_F1


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one evaluation, and the audit of its groups."""

    candidate: str = ""
    measures: AnswerMeasures = AnswerMeasures()
    fairness: FairnessAudit = FairnessAudit(margin=0.0)
    engine: str = ""  # whose answers they are of: the serving one, or the job's own


@dataclass(slots=True)
class FindingsOf:
    """Takes the figures of an evaluation, and asks the counterfactual set. `found` has them then."""

    settings: RetrainSettings
    terms: Sequence[GroupTerms] = ()
    rows: Sequence[Example] = ()  # kept apart for judging: those whose requests name a group are asked again
    found: Findings = field(default_factory=Findings)

    async def asked(self, gate: GateInput, source: EngineSource) -> GateInput:
        """Return the gate's input with the counterfactual set's scores."""
        rows = list(source.asked)
        named = [*(each.row for each in rows), *self.rows]
        swaps = await swapped_groups(source, named, self.terms, self.settings.swapped_rows)
        self.found = Findings(
            candidate=gate.candidate,
            measures=measured(rows, sets=gate.metric == SET_F1),
            fairness=audit(gate, swaps, sum(not each.row.tags for each in rows)),
        )
        return msgspec.structs.replace(
            gate,
            swapped={each.name: each.candidate for each in swaps},
            max_swapped_gap=self.settings.max_swapped_gap,
        )


def audit(gate: GateInput, swaps: Sequence[GroupSwaps], untagged: int) -> FairnessAudit:
    """Return the audit of the gate's groups."""
    missing = {name: each.count for name, each in gate.missing.items()}
    return audited(gate.slices, missing, swaps, gate.slice_margin, untagged)
