"""Candidate and champion on the same rows, through the engine that serves: the pairs of scores for the gate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from retrain.evaluation.evaluate import EngineAnswer, answers, context, loaded
from retrain.evaluation.gate import REGRESSION, TARGET, UNJUDGED, UNJUDGED_ALONE, GateInput, waits
from retrain.evaluation.limits import AnswerLimits, by_bytes
from retrain.evaluation.pairs import AnsweredRows, by_unit, grown
from retrain.evaluation.safety import SafetyOutcome
from retrain.evaluation.safety_set import SafetyPrompt, read_set
from retrain.settings import RetrainSettings, business
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.scorer import Scorer

log = structlog.get_logger()

PATIENCE_S = 600.0  # for one answer; the engine may be busy with clients
TOO_LONG = "prompt and label do not fit the model's context"
REFUSED = "the engine refused the question"
SAFETY_TOKENS = 512  # of an answer to a safety prompt, which has no label to go by
Answered = tuple[Example, EngineAnswer, EngineAnswer]  # a row with the candidate's and the champion's answer


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
    then: Callable[[GateInput, EngineSource], Awaitable[GateInput]] | None = None,
) -> GateInput:
    """Ask both versions the safety prompts, the validation rows, then the regression rows, a step at a time, until the
    verdict waits for no more of them; the gate's tests may be looked at after every step. Where the validation rows
    decide nothing, ask the rows of `later` too, which were labelled while the candidate was trained. `then` adds what a
    judge model says of rows without a label (`retrain.evaluation.judged`). Each side is a version and its adapter's
    folder. Raises `evaluate.EvaluationRefused` or aiohttp.ClientError: then there is nothing to judge."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    sides = dict((candidate, champion))
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        loaded(session, engine, sides, evaluation=evaluation, stale_s=settings.timeout_s) as names,
    ):
        known = limits or by_bytes([*dataset.validation, *dataset.regression], settings.max_tokens)
        bounded = replace(known, context=await context(session, engine) or known.context)
        business = business_scorer(settings, scorer.alias)
        source = EngineSource(session, engine, (names[0], names[-1]), bounded, scorer, settings.concurrency, business)
        gate = start(settings, candidate[0], champion[0], alpha, untaught or {}, scorer.name)
        gate = msgspec.structs.replace(gate, safety=await source.kept(read_set(settings.safety_file)))
        gate = await judged(gate, dataset, source, settings.step_rows, later)
        return await then(gate, source) if then else gate


def check_settings(settings: RetrainSettings, alias: str) -> None:
    """Raise ValueError or OSError for a business metric or a safety file that cannot be used: before any work."""
    business_scorer(settings, alias)
    read_set(settings.safety_file)


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
    """The engine that serves, as the source of both versions' answers."""

    session: aiohttp.ClientSession
    engine: str
    names: tuple[str, str]  # the engine's, of candidate and champion
    limits: AnswerLimits
    scorer: Scorer
    concurrency: int
    business: Scorer | None = None

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
        found = await _scored(self.scorer, whole)
        kept = [each for each, pair in zip(whole, found, strict=True) if not isinstance(pair, str)]
        left_out.update(pair for pair in found if isinstance(pair, str))
        return AnsweredRows(
            rows=[row for row, _, _ in kept],
            pairs=[pair for pair in found if not isinstance(pair, str)],
            cut=(sum(mine.cut for _, mine, _ in kept), sum(theirs.cut for _, _, theirs in kept)),
            left_out=+left_out,
            missing=missing,
            lengths=[_lengths(mine, theirs) for _, mine, theirs in kept],
            latencies=[(mine.ms, theirs.ms) for _, mine, theirs in kept],
            business=await self._business(kept),
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
        """Return the candidate's and the champion's answers. Which of them is asked first alternates by chance: the
        engine may be warmer for the second."""
        turn = -1 if rows and sum(rows[0].id.encode()) % 2 else 1
        found = [
            await answers(self.session, self.engine, name, rows, limits=limits, concurrency=self.concurrency)
            for name in self.names[::turn]
        ]
        return found[::turn]

    async def _business(self, kept: Sequence[Answered]) -> list[tuple[float, float] | None]:
        """Return both sides' scores by the further metric. A candidate's answer that cannot be judged counts as the
        worst; a row is left out where the champion's cannot."""
        if self.business is None:
            return []
        found = await _scored(self.business, kept, worst=True)
        return [None if isinstance(pair, str) else pair for pair in found]


def business_scorer(settings: RetrainSettings, alias: str) -> Scorer | None:
    """Return the scorer of the further metric that the settings name, if any. Raise ValueError."""
    if not settings.business_metric:
        return None
    try:
        return Scorer.of(business(settings.business_metric), alias, Path())
    except ValueError as error:
        raise ValueError(f"retrain.business_metric: {error}") from error


async def _scored(scorer: Scorer, whole: Sequence[Answered], worst: bool = False) -> list[tuple[float, float] | str]:
    """Return both sides' scores of each row, or why it is left out: the sides are scored in one go, by the same judge.
    With `worst`, a candidate's answer that alone could not be judged scores 0."""
    sides = [[_answered(row, given[side]) for row, *given in whole] for side in (0, 1)]
    found = await scorer.scores([*sides[0], *sides[1]])
    pairs = zip(found[: len(whole)], found[len(whole) :], strict=True)
    return [_pair(0.0 if worst and isinstance(mine, Unjudged) else mine, theirs) for mine, theirs in pairs]


def _lengths(mine: EngineAnswer, theirs: EngineAnswer) -> tuple[float, float]:
    """Return the answers' tokens; where the engine counts none, their bytes: both sides' in the same unit."""
    if mine.tokens and theirs.tokens:
        return float(mine.tokens), float(theirs.tokens)
    return float(len(mine.text.encode())), float(len(theirs.text.encode()))


def _pair(candidate: float | Unjudged, champion: float | Unjudged) -> tuple[float, float] | str:
    if isinstance(champion, Unjudged):
        return UNJUDGED
    return UNJUDGED_ALONE if isinstance(candidate, Unjudged) else (candidate, champion)


def _answered(row: Example, given: EngineAnswer) -> AnsweredRow:
    return row.answered(given.text, given.choices)


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
