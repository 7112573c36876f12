"""An order of synthetic rows, carried out in rounds: rows are asked for, checked, confirmed, and asked for again where
some are lacking. The same real rows and the same answers give the same rows, in whichever order answers come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from retrain.data.example import Example
from retrain.synthetic import prompts
from retrain.synthetic.checks import REPEATED, RowChecks
from retrain.synthetic.generator import ModelAnswer
from retrain.synthetic.plan import FREE_TEXT, RowCell, SynthesisPlan
from retrain.synthetic.settings import SyntheticSettings

Ask = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sequence[ModelAnswer]]]
Clean = Callable[[Sequence[Example]], list[Example]]
NONSENSE = "answers that held no rows"
UNCONFIRMED = "a second call did not confirm its label"
SPENT = "not confirmed: max_calls or max_tokens were spent"


class DraftRow(NamedTuple):
    """A row that the model wrote, of which nothing is known yet."""

    cell: RowCell
    row: Example
    seed: Example


@dataclass(slots=True)
class Synthesis:
    """What came of an order: the rows, why others were refused, and what it took."""

    rows: list[Example] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    lacking: dict[str, int] = field(default_factory=dict)  # by a cell's name: the rows that are not there
    calls: int = 0
    tokens: int = 0
    nonsense: str = ""  # the first answer that held no rows

    def may_ask(self, settings: SyntheticSettings) -> int:
        """Return how many more calls the order may make."""
        return settings.max_calls - self.calls if self.tokens < settings.max_tokens else 0


async def synthesised(
    settings: SyntheticSettings, plan: SynthesisPlan, checks: RowChecks, ask: Ask, clean: Clean
) -> Synthesis:
    """Carry the order out. `clean`: takes private values out of rows, which a model may know from elsewhere. Raise
    ValueError where the model's answers held no row at all."""
    done, asked, lacking = Synthesis(), Counter[RowCell](), dict(plan.wanted)
    for _ in range(settings.rounds):
        calls = _calls(settings, plan, lacking, asked)[: done.may_ask(settings)]
        if not calls:
            break
        drafts = await _written(settings, calls, done, ask)
        good = _checked(drafts, lacking, checks, done, clean)
        for each in await _confirmed(settings, plan, good, done, ask):
            done.rows.append(each.row)
            lacking[each.cell] -= 1
    done.lacking = {cell.name: count for cell, count in lacking.items() if count}
    if not done.rows and done.nonsense and done.refused.total() == done.refused[NONSENSE]:
        raise ValueError(f"{settings.model} gave no row in {done.calls} answers; the first: {done.nonsense}")
    return done


class RowCall(NamedTuple):
    cell: RowCell
    seed: Example
    number: int


def _calls(
    settings: SyntheticSettings, plan: SynthesisPlan, lacking: Mapping[RowCell, int], asked: Counter[RowCell]
) -> list[RowCall]:
    """Return a round's calls: a cell's in turn with the others', so that a spent budget leaves none out alone."""
    found: list[tuple[int, RowCall]] = []
    for cell, count in lacking.items():
        for turn in range(-(-count // settings.per_call)):
            found.append((turn, RowCall(cell, plan.seed(cell, asked[cell]), asked[cell])))
            asked[cell] += 1
    return [call for _, call in sorted(found, key=lambda each: each[0])]


async def _written(settings: SyntheticSettings, calls: Sequence[RowCall], done: Synthesis, ask: Ask) -> list[DraftRow]:
    bodies = [
        prompts.writing(settings, each.cell, each.seed, each.number, free=each.cell.label == FREE_TEXT)
        for each in calls
    ]
    drafts = []
    for call, answer in zip(calls, await ask(bodies), strict=True):
        done.calls, done.tokens = done.calls + 1, done.tokens + answer.tokens
        try:
            rows = _rows(settings, call, answer)
        except ValueError as error:
            done.refused[NONSENSE] += 1
            done.nonsense = done.nonsense or str(error)
            continue
        drafts += [DraftRow(call.cell, row, call.seed) for row in rows]
    return drafts


def _rows(settings: SyntheticSettings, call: RowCall, answer: ModelAnswer) -> list[Example]:
    if answer.problem:
        raise ValueError(answer.problem)
    free = call.cell.label == FREE_TEXT
    return prompts.written(answer.content, call.seed, settings.model, settings.per_call, free=free)


def _checked(
    drafts: Sequence[DraftRow], lacking: Mapping[RowCell, int], checks: RowChecks, done: Synthesis, clean: Clean
) -> list[DraftRow]:
    """Return the drafts that may be confirmed, of each cell no more than it lacks."""
    cleaned = [each._replace(row=row) for each, row in zip(drafts, clean([each.row for each in drafts]), strict=True)]
    found = checks.objections([each.row for each in cleaned], [each.seed for each in cleaned])
    left, good = Counter(lacking), []
    for each, why in zip(cleaned, found, strict=True):
        if why:
            done.refused[why] += 1
        elif left[each.cell] > 0:
            if checks.repeated(each.row):
                done.refused[REPEATED] += 1
                continue
            left[each.cell] -= 1
            good.append(each)
    return good


async def _confirmed(
    settings: SyntheticSettings, plan: SynthesisPlan, drafts: Sequence[DraftRow], done: Synthesis, ask: Ask
) -> list[DraftRow]:
    most = done.may_ask(settings)
    done.refused[SPENT] += len(drafts[most:])
    bodies = [prompts.confirming(settings, each.row, plan.labels) for each in drafts[:most]]
    answers = await ask(bodies) if bodies else []
    good = []
    for each, answer in zip(drafts[:most], answers, strict=True):
        done.calls, done.tokens = done.calls + 1, done.tokens + answer.tokens
        if prompts.confirmed(answer.content, each.row, plan.labels):
            good.append(each)
        else:
            done.refused[UNCONFIRMED] += 1
    return good
