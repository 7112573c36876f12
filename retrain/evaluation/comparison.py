"""Candidate and champion on the same rows, through the engine that serves: the pairs of scores for the gate."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec
import structlog

from monitor.losses import DIGITS
from monitor.metrics import normalise
from retrain.data.dataset import Dataset
from retrain.data.example import Example, in_chance_order
from retrain.data.likeness import conversations
from retrain.data.shares import MOST_ROWS
from retrain.evaluation.evaluate import EngineAnswer, answers, context, loaded
from retrain.evaluation.gate import REGRESSION, TARGET, UNJUDGED, UNJUDGED_ALONE, GateInput, Scores, asked_rows, waits
from retrain.evaluation.limits import AnswerLimits, by_bytes
from retrain.evaluation.missing import MissingPairs
from retrain.settings import RetrainSettings
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.scorer import Scorer

log = structlog.get_logger()

PATIENCE_S = 600.0  # for one answer; the engine may be busy with clients
TOO_LONG = "prompt and label do not fit the model's context"
REFUSED = "the engine refused the question"


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
    """Ask both versions the validation rows, then the regression rows, a step at a time, until the verdict waits for no
    more of them; the gate's tests may be looked at after every step. Where the validation rows decide nothing, ask the
    rows of `later` too, which were labelled while the candidate was trained. `then` adds what a judge model says of
    rows without a label (`retrain.evaluation.judged`). Each side is a version and its adapter's
    folder. Raises `evaluate.EvaluationRefused` or aiohttp.ClientError: then there is nothing to judge."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    sides = dict((candidate, champion))
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        loaded(session, engine, sides, evaluation=evaluation, stale_s=settings.timeout_s) as names,
    ):
        known = limits or by_bytes([*dataset.validation, *dataset.regression], settings.max_tokens)
        bounded = replace(known, context=await context(session, engine) or known.context)
        source = EngineSource(session, engine, (names[0], names[-1]), bounded, scorer, settings.concurrency)
        gate = start(settings, candidate[0], champion[0], alpha, untaught or {})
        gate = await judged(gate, dataset, source, settings.step_rows, later)
        return await then(gate, source) if then else gate


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
    settings: RetrainSettings, candidate: str, champion: str, alpha: float | None, untaught: Mapping[str, int]
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
        untaught=dict(untaught),
        max_cut=settings.max_cut,
        max_left_out=settings.max_left_out,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRows:
    """Rows that both sides answered, with their scores, and the count of the others by reason."""

    rows: list[Example]
    pairs: Scores
    cut: tuple[int, int]  # candidate's and champion's answers that ended at their limit
    left_out: Counter[str]
    missing: list[tuple[Example, bool]] = field(default_factory=list)  # unlabelled rows: did both answer the same?


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

    async def both(self, rows: Sequence[Example]) -> AnsweredRows:
        """Ask both versions the same rows, with the same limits."""
        bounds = [self.limits.of(row) for row in rows]
        fitting = [(row, limit) for row, limit in zip(rows, bounds, strict=True) if limit > 0]
        taken, limits = [row for row, _ in fitting], [limit for _, limit in fitting]
        mine, theirs = [
            await answers(self.session, self.engine, name, taken, limits=limits, concurrency=self.concurrency)
            for name in self.names
        ]
        whole = [each for each in zip(taken, mine, theirs, strict=True) if not each[1].refusal and not each[2].refusal]
        left_out = Counter({TOO_LONG: len(rows) - len(taken), REFUSED: len(taken) - len(whole)})
        whole, missing = _parted(whole)
        if left_out[REFUSED]:
            why = next(each.refusal for each in (*mine, *theirs) if each.refusal)
            log.warning("the engine refused questions", rows=len(taken) - len(whole), why=why)
        found = await self._scored(whole)
        kept = [(*each, pair) for each, pair in zip(whole, found, strict=True) if not isinstance(pair, str)]
        left_out.update(pair for pair in found if isinstance(pair, str))
        return AnsweredRows(
            rows=[row for row, _, _, _ in kept],
            pairs=[(mine, theirs) for *_, (mine, theirs) in kept],
            cut=(sum(mine.cut for _, mine, _, _ in kept), sum(theirs.cut for _, _, theirs, _ in kept)),
            left_out=+left_out,
            missing=missing,
        )

    async def _scored(
        self, whole: Sequence[tuple[Example, EngineAnswer, EngineAnswer]]
    ) -> list[tuple[float, float] | str]:
        """Return both sides' scores of each row, or why it is left out: the sides are scored in one go, by the same
        judge."""
        sides = [[_answered(row, given[side]) for row, *given in whole] for side in (0, 1)]
        found = await self.scorer.scores([*sides[0], *sides[1]])
        pairs = zip(found[: len(whole)], found[len(whole) :], strict=True)
        return [_pair(candidate, champion) for candidate, champion in pairs]


def _pair(candidate: float | Unjudged, champion: float | Unjudged) -> tuple[float, float] | str:
    if isinstance(champion, Unjudged):
        return UNJUDGED
    return UNJUDGED_ALONE if isinstance(candidate, Unjudged) else (candidate, champion)


def _answered(row: Example, given: EngineAnswer) -> AnsweredRow:
    return row.answered(given.text, given.choices)


def _parted(
    answered: Sequence[tuple[Example, EngineAnswer, EngineAnswer]],
) -> tuple[list[tuple[Example, EngineAnswer, EngineAnswer]], list[tuple[Example, bool]]]:
    """Return the labelled rows, and the others with whether both sides answered the same."""
    labelled = [each for each in answered if not each[0].unlabelled]
    others = [each for each in answered if each[0].unlabelled]
    return labelled, [(row, normalise(mine.text) == normalise(theirs.text)) for row, mine, theirs in others]


async def asked(gate: GateInput, part: str, rows: Sequence[Example], source: AnswerSource, step_rows: int) -> GateInput:
    """Ask the rows of one part a step at a time, at least one step, until the verdict waits for no more of them. Those
    of one unit are asked together."""
    units = _units(_named(rows[: max(0, MOST_ROWS - len(getattr(gate, part)))]))
    for first in range(0, len(units), step_rows):
        if first and not waits(gate, part):
            break
        gate = grown(gate, part, await source.both([row for unit in units[first : first + step_rows] for row in unit]))
    return gate


def _units(rows: Sequence[Example]) -> list[list[Example]]:
    """Return the rows by unit, in the order of the units' first rows."""
    found: dict[str, list[Example]] = {}
    for row in rows:
        found.setdefault(_unit(row), []).append(row)
    return list(found.values())


def _named(rows: Sequence[Example]) -> list[Example]:
    """Return the rows with their units: rows of no dataset have none yet, and are their conversation's."""
    return [
        row if row.unit or not name else msgspec.structs.replace(row, unit=name)
        for row, name in zip(rows, conversations(rows), strict=True)
    ]


def _unit(row: Example) -> str:
    return row.unit or row.id


def united(rows: Sequence[Example], pairs: Scores) -> Scores:
    """Return one pair a unit, the mean of its rows' pairs: rows that say the same are no more evidence than one."""
    found: dict[str, Scores] = {}
    for row, pair in zip(rows, pairs, strict=True):
        found.setdefault(_unit(row), []).append(pair)
    return [(_mean([mine for mine, _ in each]), _mean([theirs for _, theirs in each])) for each in found.values()]


def _mean(scores: Sequence[float]) -> float:
    return scores[0] if len(scores) == 1 else round(sum(scores) / len(scores), DIGITS)


def grown(gate: GateInput, part: str, found: AnsweredRows) -> GateInput:
    """Return the gate's input with further answers."""
    groups, missing = dict(gate.slices), dict(gate.missing)
    if part == TARGET:
        for name, pairs in slices(found.rows, found.pairs).items():
            groups[name] = [*groups.get(name, []), *pairs]
    for row, same in found.missing:
        names = [part, *_groups(row)] if part == TARGET else [part]
        for name in names:
            missing[name] = missing.get(name, MissingPairs()) + MissingPairs(same, not same)
    return msgspec.structs.replace(
        gate,
        missing=missing,
        rests_on=dict(Counter(gate.rests_on) + Counter(row.selection for row in found.rows)),
        rows=asked_rows(gate) + len(found.rows),
        **{part: [*getattr(gate, part), *united(found.rows, found.pairs)]},
        slices=groups,
        left_out=dict(Counter(gate.left_out) + found.left_out),
        cut_candidate=gate.cut_candidate + found.cut[0],
        cut_champion=gate.cut_champion + found.cut[1],
    )


def slices(rows: Sequence[Example], pairs: Scores) -> dict[str, Scores]:
    """Return the pairs of each tag's groups, by "tag=value"."""
    found: defaultdict[str, list[tuple[Example, tuple[float, float]]]] = defaultdict(list)
    for row, pair in zip(rows, pairs, strict=True):
        for name in _groups(row):
            found[name].append((row, pair))
    return {name: united([row for row, _ in each], [pair for _, pair in each]) for name, each in found.items()}


def _groups(row: Example) -> list[str]:
    return [f"{tag}={value}" for tag, value in row.tags.items()]


def summary(gate: GateInput) -> dict[str, float]:
    """Return the mean scores of both sides on both parts, and the shares of rows left out and of answers cut."""
    asked = asked_rows(gate)
    gone = sum(gate.left_out.values())
    shares = {
        "judged_left_out_share": gone / max(1, asked + gone),
        "cut_candidate_share": gate.cut_candidate / max(1, asked),
        "cut_champion_share": gate.cut_champion / max(1, asked),
    }
    parts = {"target": gate.target, "regression": gate.regression}
    sides = ("candidate", "champion")
    return shares | {
        f"{part}_{side}": sum(pair[i] for pair in pairs) / len(pairs)
        for part, pairs in parts.items()
        if pairs
        for i, side in enumerate(sides)
    }
