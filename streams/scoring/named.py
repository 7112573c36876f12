"""The metrics that have names. ROUGE is the library's (`rouge-score`), on the house's words: its own drop all that is
not ASCII. ROUGE-L alone is `monitor.metrics.rouge_l`, the same number 50 times sooner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from monitor.metrics import METRICS, tokens
from streams.scoring.label_sets import set_f1
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.settings import FORMALITY, READABILITY, SET_F1
from streams.scoring.tone import formality_match, readability_match

KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_lsum": "rougeLsum"}  # the library's names
LINES = "rouge_lsum"
TRUTHLESS = "json_validity"
MOST_CELLS = 1_000_000  # words of the answer times those of the truth: a second's work of the library's subsequences


OWN: dict[str, Callable[[str, str], float | Unjudged]] = {
    **METRICS,
    SET_F1: set_f1,
    READABILITY: readability_match,
    FORMALITY: formality_match,
}


class NamedGrader:
    """A metric of `monitor.metrics`, of ROUGE, of sets of labels or of tone."""

    def __init__(self, name: str) -> None:
        self._needs_truth = name != TRUTHLESS
        self._score: Callable[[str, str], float | Unjudged] = OWN.get(name) or partial(rouge, name)

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        """Return each row's score."""
        return await asyncio.to_thread(lambda: [self._of(row) for row in rows])

    def _of(self, row: AnsweredRow) -> float | Unjudged:
        if row.truth is None and self._needs_truth:
            return Unjudged.NO_TRUTH
        return self._score(row.text, row.truth or "")


def rouge(name: str, answer: str, truth: str) -> float | Unjudged:
    """Return ROUGE's F1 (Lin 2004) of pairs of words, or of the sentences' common subsequences (a sentence is a line).
    Equal answers have 1, also where the library has nothing to compare: a short one has no pairs."""
    given, wanted = tokens(answer), tokens(truth)
    if given == wanted or not given or not wanted:
        return float(given == wanted)
    if name == LINES and len(given) * len(wanted) > MOST_CELLS:
        return Unjudged.TOO_LONG
    kind = KINDS[name]
    return float(_library(kind).score(truth, answer)[kind].fmeasure)


class HouseTokenizer:
    """The house's words, as the library asks for them."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text."""
        return tokens(text)


@cache
def _library(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # takes two seconds

    return RougeScorer([kind], tokenizer=HouseTokenizer())
