"""The counterfactual set: rows that were asked, asked again as another group's, of both versions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import structlog

from monitor.metrics import normalise
from retrain.data.example import Example, in_chance_order
from retrain.evaluation.checks import Scores
from retrain.evaluation.comparison import EngineSource
from retrain.evaluation.fairness.terms import GroupTerms, SwappedRow
from retrain.evaluation.pairs import AskedRow, united

log = structlog.get_logger()


class GroupSwaps(msgspec.Struct, frozen=True):
    """What it changes that a request names this group and not another one. Each pair is a score where this group is
    named, and where the other one is in its place."""

    name: str  # "tag=group"
    candidate: Scores = []
    champion: Scores = []
    rows: int = 0  # compared
    changed_candidate: int = 0  # of these, where the answer is another one, the terms aside
    changed_champion: int = 0


async def swapped_groups(
    source: EngineSource, rows: Sequence[Example], terms: Sequence[GroupTerms], most: int
) -> list[GroupSwaps]:
    """Ask both versions up to `most` of the rows again for each tag, with another group's term; return what it changed.
    Of rows that the verdict did without, the question itself is asked too. Rows that could not be asked or judged are
    left out."""
    found, known = [], {each.row.id: each for each in source.asked}
    chosen = in_chance_order((row for row in {row.id: row for row in rows}.values() if not row.unlabelled), "swap")
    for each in terms:
        swaps = [(row, swap) for row in chosen if (swap := each.swapped(row)) is not None][:most]
        new = [row for row, _ in swaps if row.id not in known] + [swap.row for _, swap in swaps]
        known |= {row.row.id: row for row in await source.answered(new)}
        whole = [(row, swap) for row, swap in swaps if {row.id, swap.row.id} <= known.keys()]
        pairs = [(known[row.id], swap, known[swap.row.id]) for row, swap in whole]
        log.info(
            "rows were asked again as another group's",
            tag=each.tag,
            rows=len(pairs),
            left_out=len(swaps) - len(pairs),
        )
        found += await asyncio.to_thread(_groups, each, pairs)
    return found


def _groups(terms: GroupTerms, pairs: Sequence[tuple[AskedRow, SwappedRow, AskedRow]]) -> list[GroupSwaps]:
    """A row says the same of both groups, once for and once against."""
    kept: defaultdict[str, list[tuple[AskedRow, AskedRow]]] = defaultdict(list)
    changed: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row, swap, again in pairs:
        kept[swap.group].append((row, again))
        kept[swap.other].append((again, row))
        for group in (swap.group, swap.other):
            changed[group].append(_changed(terms, row, swap, again))
    found = []
    for group in terms.groups:
        rows = [mine.row for mine, _ in kept[group]]
        candidate, champion = (united(rows, _scores(kept[group], side)) for side in (0, 1))
        others = [sum(each[side] for each in changed[group]) for side in (0, 1)]
        found.append(GroupSwaps(f"{terms.tag}={group}", candidate, champion, len(rows), *others))
    return found


def _scores(kept: Sequence[tuple[AskedRow, AskedRow]], side: int) -> Scores:
    return [(mine.scores[side], other.scores[side]) for mine, other in kept]


def _changed(terms: GroupTerms, row: AskedRow, swap: SwappedRow, again: AskedRow) -> tuple[bool, bool]:
    """Return whether candidate and champion answered otherwise, the terms aside."""
    before = [terms.swap(each.text, swap.group, swap.other) for each in (row.candidate, row.champion)]
    after = [again.candidate.text, again.champion.text]
    first, second = (normalise(a) != normalise(b) for a, b in zip(before, after, strict=True))
    return first, second
