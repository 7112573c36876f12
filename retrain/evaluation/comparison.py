"""Candidate and champion on the same rows, through the engine that serves: the pairs of scores for the gate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec
import structlog

from monitor.metrics import normalise
from retrain.data.dataset import Dataset
from retrain.data.example import Example, in_chance_order
from retrain.data.likeness import conversations
from retrain.data.shares import MOST_ROWS
from retrain.evaluation.business import Answered, Business, business_of, scored
from retrain.evaluation.checks import REGRESSION, TARGET
from retrain.evaluation.engine.slot import EngineSlot, reserved, session_to
from retrain.evaluation.evaluate import EngineAnswer, answers, context
from retrain.evaluation.fairness.terms import read_terms
from retrain.evaluation.gate import GateInput, waits
from retrain.evaluation.limits import AnswerLimits, by_bytes
from retrain.evaluation.pairs import AnsweredRows, AskedRow, by_unit, grown
from retrain.evaluation.safety import SafetyOutcome
from retrain.evaluation.safety_set import SafetyPrompt, read_set
from retrain.settings import RetrainSettings
from streams.engine_access import EngineAccess
from streams.scoring.scorer import Scorer

log = structlog.get_logger()

PATIENCE_S = 600.0  # for one answer; the engine may be busy with clients
TOO_LONG = "prompt and label do not fit the model's context"
REFUSED = "the engine refused the question"
SAFETY_TOKENS = 512  # of an answer to a safety prompt, which has no label to go by


async def compare(
    settings: RetrainSettings,
    engine: str,
    dataset: Dataset,
    scorer: Scorer,
    candidate: tuple[str, Path],
    champion: tuple[str, Path],
    *,
    limits: AnswerLimits | None = None,
    later: Callable[[], Sequence[Example]] = list,
    alpha: float | None = None,
    evaluation: str | None = None,
    untaught: Mapping[str, int] | None = None,
    then: Sequence[Callable[[GateInput, EngineSource], Awaitable[GateInput]]] = (),
    allowed: Callable[[], None] = lambda: None,
    downstream: Mapping[str, float] | None = None,
    champion_engine: str = "",
    access: EngineAccess | None = None,
    adapters: Path | None = None,
) -> GateInput:
    """Ask both versions the safety prompts, the validation rows, then the regression rows, a step at a time, until the
    verdict waits for no more of them; the gate's tests may be looked at after every step. Where the validation rows
    decide nothing, ask the rows of `later` too, which were labelled while the candidate was trained. `then` adds what
    else is asked of both (`retrain.evaluation.judged`, `retrain.card.findings`). `allowed` raises where the engine is
    another evaluation's by now. `downstream`: scores of the served answers, where the settings name these. Each side is
    a version and its adapter's folder; `champion_engine` is that of a champion on another base model. `access`: how an
    engine that others run is reached, and `adapters` the folder of all adapters here. Raises
    `evaluate.EvaluationRefused` or aiohttp.ClientError: then there is nothing to judge."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    sides = dict((candidate, champion))
    seen = sides if access is None or adapters is None else {v: access.seen(f, adapters) for v, f in sides.items()}
    async with (
        session_to(access, timeout) as session,
        session_to(None, timeout) as other_session,
        reserved(EngineSlot(session, engine, seen, evaluation, settings.timeout_s, allowed)) as slot,
        reserved(EngineSlot(other_session, champion_engine, sides, evaluation, settings.timeout_s)) as other,
    ):
        slots = (slot, other if champion_engine else slot)
        known = limits or by_bytes([*dataset.validation, *dataset.regression], settings.max_tokens)
        sessions = {each.engine: each.session for each in slots}
        own = [each for name, asking in sessions.items() if (each := await context(asking, name))]
        bounded = replace(known, context=min(own, default=known.context))
        business, versions = business_of(settings, scorer.alias, downstream or {}), (candidate[0], champion[0])
        source = EngineSource(slots, versions, bounded, scorer, settings.concurrency, business)
        gate = start(settings, candidate[0], champion[0], alpha, untaught or {}, scorer.name)
        gate = msgspec.structs.replace(gate, safety=await source.kept(read_set(settings.safety_file)))
        gate = await judged(gate, dataset, source, settings.step_rows, later)
        for more in then:
            gate = await more(gate, source)
        return gate


def check_settings(settings: RetrainSettings, alias: str) -> None:
    """Raise ValueError or OSError for a business metric or a file of the settings that cannot be used: before any
    work."""
    business_of(settings, alias, {})
    read_set(settings.safety_file)
    read_terms(settings.fairness_file)


async def judged(
    gate: GateInput,
    dataset: Dataset,
    source: AnswerSource,
    step_rows: int,
    later: Callable[[], Sequence[Example]] = list,
) -> GateInput:
    """Return the gate's input with the answers to as many rows as the verdict takes. The rows are in chance order, so
    that each step is a fair sample."""
    gate = await asked(gate, TARGET, in_chance_order(dataset.validation, "validation"), source, step_rows)
    gate = await asked(gate, REGRESSION, dataset.regression, source, step_rows)
    if waits(gate, TARGET):
        more = await asyncio.to_thread(later)  # seconds; a loop that stands does not see its idle connections closed
        gate = await asked(gate, TARGET, in_chance_order(more, "later"), source, step_rows)
    return gate


def start(
    settings: RetrainSettings,
    candidate: str,
    champion: str,
    alpha: float | None,
    untaught: Mapping[str, int],
    metric: str = "",
) -> GateInput:
    """Return the gate's input before any row was asked: what the candidate must prove."""
    return GateInput(
        candidate=candidate,
        champion=champion,
        target=[],
        regression=[],
        min_gain=settings.min_gain,
        margin=settings.margin,
        slice_margin=settings.slice_margin,
        min_slice=settings.min_slice,
        alpha=settings.alpha if alpha is None else alpha,
        metric=metric,
        max_length_ratio=settings.max_length_ratio,
        max_latency_ratio=settings.max_latency_ratio,
        business_metric=settings.business_metric,
        business_margin=settings.business_margin,
        untaught=dict(untaught),
        max_cut=settings.max_cut,
        max_left_out=settings.max_left_out,
    )


class AnswerSource(Protocol):
    """A source of both versions' answers."""

    async def both(self, rows: Sequence[Example]) -> AnsweredRows:
        """Return candidate's and champion's answers to these rows."""


@dataclass(frozen=True, slots=True)
class EngineSource:
    """The engine that serves, as the source of both versions' answers; the champion's may be another."""

    slots: tuple[EngineSlot, EngineSlot]  # of candidate and champion: one and the same, where one engine serves both
    versions: tuple[str, str]  # candidate and champion
    limits: AnswerLimits
    scorer: Scorer
    concurrency: int
    business: Business | None = None
    asked: list[AskedRow] = field(default_factory=list)  # all rows that `both` has asked

    async def answered(self, rows: Sequence[Example]) -> list[AskedRow]:
        """Ask both versions rows that no verdict counts, such as a counterfactual set's."""
        aside = replace(self, business=None, asked=[])
        await aside.both(rows)
        return aside.asked

    async def both(self, rows: Sequence[Example]) -> AnsweredRows:
        """Ask both versions the same rows, with the same limits."""
        bounds = [self.limits.of(row) for row in rows]
        fitting = [(row, limit) for row, limit in zip(rows, bounds, strict=True) if limit > 0]
        taken, limits = [row for row, _ in fitting], [limit for _, limit in fitting]
        mine, theirs = await self._answers(taken, limits)
        whole = [each for each in zip(taken, mine, theirs, strict=True) if not each[1].refusal and not each[2].refusal]
        left_out = Counter({TOO_LONG: len(rows) - len(taken), REFUSED: len(taken) - len(whole)})
        whole, missing = _parted(whole)
        if left_out[REFUSED]:
            why = next(each.refusal for each in (*mine, *theirs) if each.refusal)
            log.warning("the engine refused questions", rows=len(taken) - len(whole), why=why)
        found = await scored(self.scorer, whole)
        kept = [each for each, pair in zip(whole, found, strict=True) if not isinstance(pair, str)]
        left_out.update(pair for pair in found if isinstance(pair, str))
        self.asked.extend(
            AskedRow(*each, pair) for each, pair in zip(whole, found, strict=True) if not isinstance(pair, str)
        )
        return AnsweredRows(
            rows=[row for row, _, _ in kept],
            pairs=[pair for pair in found if not isinstance(pair, str)],
            cut=(sum(mine.cut for _, mine, _ in kept), sum(theirs.cut for _, _, theirs in kept)),
            left_out=+left_out,
            missing=missing,
            lengths=[_lengths(mine, theirs) for _, mine, theirs in kept],
            latencies=[(mine.ms, theirs.ms) for _, mine, theirs in kept],
            business=await self.business.pairs(kept) if self.business else [],
        )

    async def kept(self, prompts: Sequence[SafetyPrompt]) -> list[SafetyOutcome]:
        """Return which side kept what each safety prompt asks for."""
        rows = [each.row() for each in prompts]
        sides = await self._answers(rows, [self._room(row) for row in rows])
        kept = [
            [None if given.refusal else each.kept(given.text) for each, given in zip(prompts, side, strict=True)]
            for side in sides
        ]
        return [
            SafetyOutcome(each.id, mine, theirs, each.hard)
            for each, mine, theirs in zip(prompts, kept[0], kept[1], strict=True)
        ]

    def _room(self, row: Example) -> int:
        """Return the limit on an answer that no label limits."""
        room, context = self.limits.most or SAFETY_TOKENS, self.limits.context
        return max(1, min(room, context - self.limits.asked(row))) if context else room

    async def _answers(self, rows: Sequence[Example], limits: Sequence[int]) -> list[list[EngineAnswer]]:
        """Return the candidate's and the champion's answers. The one that the engine holds is asked first, so that each
        is first every other time: the engine may be warmer for the second."""
        found: dict[str, list[EngineAnswer]] = {version: [] for version in self.versions}
        turn = -1 if self.slots[1].version == self.versions[1] else 1
        for slot, version in list(zip(self.slots, self.versions, strict=True))[::turn] if rows else ():
            name = await slot.holding(version)
            found[version] = await answers(
                slot.session, slot.engine, name, rows, limits=limits, concurrency=self.concurrency
            )
        return [found[version] for version in self.versions]


def _lengths(mine: EngineAnswer, theirs: EngineAnswer) -> tuple[float, float]:
    """Return the answers' tokens; where the engine counts none, their bytes: both sides' in the same unit."""
    if mine.tokens and theirs.tokens:
        return float(mine.tokens), float(theirs.tokens)
    return float(len(mine.text.encode())), float(len(theirs.text.encode()))


def _parted(answered: Sequence[Answered]) -> tuple[list[Answered], list[tuple[Example, bool]]]:
    """Return the labelled rows, and the others with whether both sides answered the same."""
    labelled = [each for each in answered if not each[0].unlabelled]
    others = [each for each in answered if each[0].unlabelled]
    return labelled, [(row, normalise(mine.text) == normalise(theirs.text)) for row, mine, theirs in others]


async def asked(gate: GateInput, part: str, rows: Sequence[Example], source: AnswerSource, step_rows: int) -> GateInput:
    """Ask the rows of one part a step at a time, at least one step, until the verdict waits for no more of them. Those
    of one unit are asked together."""
    units = by_unit(_named(rows[: max(0, MOST_ROWS - len(getattr(gate, part)))]))
    for first in range(0, len(units), step_rows):
        if first and not waits(gate, part):
            break
        gate = grown(gate, part, await source.both([row for unit in units[first : first + step_rows] for row in unit]))
    return gate


def _named(rows: Sequence[Example]) -> list[Example]:
    """Return the rows with their units: rows of no dataset have none yet, and are their conversation's."""
    return [
        row if row.unit or not name else msgspec.structs.replace(row, unit=name)
        for row, name in zip(rows, conversations(rows), strict=True)
    ]
