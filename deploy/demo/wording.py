"""How good answers were, in words that suit the metric: shares of right answers, or a score's mean."""

from __future__ import annotations

from monitor.metrics import YES_OR_NO, spoken


def percent(share: float | None, none: str = "none") -> str:
    """Return a share in words.

    >>> percent(0.953), percent(None)
    ('95 %', 'none')
    """
    return none if share is None else f"{100 * share:.0f} %"


def measured(metric: str) -> str:
    """Return what is measured.

    >>> measured("exact_match"), measured("rouge_l")
    ('right answers', 'ROUGE-L')
    """
    return "right answers" if metric in YES_OR_NO else spoken(metric)


def were(metric: str, share: float | None) -> str:
    """Return how good answers were.

    >>> were("exact_match", 0.977), were("rouge_l", 0.41)
    ('98 % of the answers were right', 'ROUGE-L was 41 %')
    """
    shown = percent(share)
    return f"{shown} of the answers were right" if metric in YES_OR_NO else f"{spoken(metric)} was {shown}"
