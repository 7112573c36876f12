"""Candidate and champion by a judge model, on replies that no person labelled: it may block, and no more by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from msgspec.structs import replace as changed

from retrain.data.example import Example
from retrain.evaluation.comparison import EngineSource
from retrain.evaluation.gate import GateInput
from retrain.evaluation.pairs import united
from streams.scoring.scorer import Scorer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudge:
    """The judge model of an alias. `rows`: fresh replies without a label; `agrees`: on how many audited replies it
    agreed with people, and of how many; `may_promote`: as `policy.judge_may_promote` has it."""

    scorer: Scorer
    rows: Callable[[], Sequence[Example]]
    agrees: tuple[int, int] = (0, 0)
    may_promote: bool = False

    async def asked(self, gate: GateInput, source: EngineSource) -> GateInput:
        """Return the gate's input with the judge's scores of both sides' answers to its rows."""
        rows = await asyncio.to_thread(self.rows)
        found = await replace(source, scorer=self.scorer).both(rows)
        log.info("a judge model compared rows without a label", rows=len(found.rows), left_out=dict(found.left_out))
        return changed(
            gate,
            judged=united(found.rows, found.pairs),
            judge=self.scorer.name,
            judged_left_out=dict(found.left_out),
            judge_agrees=self.agrees,
            judge_may_promote=self.may_promote,
        )
