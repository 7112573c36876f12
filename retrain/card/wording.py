"""A model card's figures in words that need no statistics. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from monitor.metrics import YES_OR_NO, spoken
from monitor.selection.sources import MEANING
from retrain.card.card import ModelCard
from retrain.card.measures import MeasuredGroup
from retrain.evaluation.checks import POINTS, Check, amount
from retrain.evaluation.fairness.audit import Finding, RateInterval

HEADLINES = {
    "promote": "It may take the champion's place: better where it must be, nowhere worse than allowed.",
    "reject": "It must not take the champion's place: a check has failed.",
    "inconclusive": "It may not take the champion's place yet: the rows do not tell.",
}
FINDINGS: dict[Finding, str] = {
    "even": "served alike",
    "behind": "served worse",
    "ahead": "served better",
    "unknown": "not known",
}
SWAPPED: dict[Finding, str] = {
    "even": "makes no difference",
    "behind": "worse answers",
    "ahead": "better answers",
    "unknown": "not known",
}
STATES = {True: "passed", False: "failed", None: "undecided"}
FIGURES = {  # name -> words, and the unit: a share in percent, a number, or a bare share
    "macro_f1": ("F1, all labels alike", "%"),
    "macro_precision": ("precision, all labels alike", "%"),
    "macro_recall": ("recall, all labels alike", "%"),
    "micro_f1": ("F1, all decisions alike", "%"),
    "set_f1": ("F1, a row at a time", "%"),
    "token_f1": ("F1 of words", "%"),
    "rouge_l": ("ROUGE-L", "%"),
    "valid_json": ("valid JSON", "%"),
    "readability_lix": ("readability (LIX; below 30 easy, above 50 hard)", ""),
    "formality": ("sentences written formally", "%"),
    "tokens_median": ("tokens of an answer, median", ""),
    "tokens_p95": ("tokens of an answer, 95 of 100 have at most", ""),
    "latency_ms_median": ("milliseconds to a whole answer, median", ""),
    "latency_ms_p95": ("milliseconds to a whole answer, 95 of 100 take at most", ""),
    "cut_share": ("answers cut at their limit", "%"),
}


def percent(value: float) -> str:
    """Return a share in percent.

    >>> percent(0.9375)
    '93.8 %'
    """
    return f"{100 * value:.1f} %"


def points(gap: RateInterval) -> str:
    """Return a difference and its interval in points.

    >>> print(points(RateInterval(-0.05, -0.1, 0.0)).replace(chr(8722), "-"))
    -5.0 (-10.0 to +0.0)
    """
    value, low, high = (f"{100 * each:+.1f}".replace("-", "\N{MINUS SIGN}") for each in (gap.value, gap.low, gap.high))
    return f"{value} ({low} to {high})"


def between(rate: RateInterval) -> str:
    """Return a rate and its interval.

    >>> between(RateInterval(0.9, 0.8, 0.95))
    '90.0 % (80.0 to 95.0)'
    """
    return f"{percent(rate.value)} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def scored(card: ModelCard) -> str:
    """Return what a score is, for people."""
    return "right answers" if not card.metric or card.metric in YES_OR_NO else f"score ({spoken(card.metric)})"


def figures(card: ModelCard, group: MeasuredGroup) -> Iterator[tuple[str, str, str]]:
    """Yield each figure's name, and the candidate's and the champion's value."""
    known = {"score": (scored(card), "%"), **FIGURES}
    for name, (words, unit) in known.items():
        if name in group.candidate or name in group.champion:
            sides = [side.get(name) for side in (group.candidate, group.champion)]
            mine, theirs = ("" if each is None else percent(each) if unit else f"{each:,.1f}" for each in sides)
            yield words, mine, theirs


def difference(check: Check) -> str:
    """Return what a check found, in its unit."""
    return amount(check, check.estimate).replace("-", "\N{MINUS SIGN}")


def needed(check: Check) -> str:
    """Return what it needs."""
    than = "more" if check.unit == POINTS or check.unit != "times" else "less"
    return f"{than} than {amount(check, check.needed)}".replace("-", "\N{MINUS SIGN}")


def origins(counts: dict[str, int]) -> str:
    """Return who chose the rows for their labels."""
    named = (f"{MEANING.get(each, each or 'not known')} ({count:,})" for each, count in sorted(counts.items()))
    return ", ".join(named) or "nothing"


def day(ms: int) -> str:
    """Return the day of a time.

    >>> day(0)
    '1970-01-01'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")
