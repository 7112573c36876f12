"""A verdict on two files in words that need no statistics."""

from __future__ import annotations

from pathlib import Path

from retrain.evaluation.checks import POINTS, REGRESSION, TARGET, Check, telling
from retrain.harness.verdict import FileVerdict

SCORE = "the score"


def headline(verdict: FileVerdict) -> str:
    """Return the verdict in one sentence."""
    better = next(check for check in verdict.checks if check.name == TARGET).needed >= 0
    names = [named(check) for check in telling(verdict.checks)]
    if verdict.status == "inconclusive":
        return f"Not decided yet: the rows do not tell about {', '.join(names)}."
    if verdict.status == "promote":
        found = "better, and nothing else is worse than you allow" if better else "nowhere worse than you allow"
        return f"Promote: the candidate is {found}."
    others = ", ".join(name for name in names if name != SCORE)
    faults = ["not better by what you ask" if better else "worse than you allow"] if SCORE in names else []
    faults += [f"worse than you allow: {others}"] if others else []
    return f"Reject: the candidate is {', and '.join(faults)}."


def named(check: Check) -> str:
    """Return what a check is about, for people."""
    return {TARGET: SCORE, REGRESSION: "what the champion could do"}.get(check.name, check.name)


def score(verdict: FileVerdict, value: float) -> str:
    """Return a mean score: as a percentage of right answers, or in the score's own unit."""
    return f"{100 * value:.1f} %" if _right_or_wrong(verdict) else f"{value:.3g}"


def settled_by(verdict: FileVerdict) -> str:
    """Return how many rows more would settle what is open; empty where nothing is, or it cannot be foreseen."""
    waiting = telling(verdict.checks) if verdict.status == "inconclusive" else []
    if not waiting or not all(check.more for check in waiting):
        return ""
    if even := [named(check) for check in waiting if check.estimate == check.needed]:
        return f"So far both sides are even by what is asked ({', '.join(even)}): no number of rows can be foreseen."
    slowest = max(waiting, key=lambda check: check.more)
    most = f"up to {slowest.more_high:,}" if slowest.more_high else "it may be far more"
    about = "" if slowest.name == TARGET else f" of {named(slowest)}"
    return f"About {slowest.more:,} more rows{about} would settle it (as few as {slowest.more_low:,}, {most})."


def files(verdict: FileVerdict) -> tuple[str, str]:
    """Return the names of the champion's and the candidate's file, short where they differ."""
    names = Path(verdict.champion.file).name, Path(verdict.candidate.file).name
    return names if names[0] != names[1] else (verdict.champion.file, verdict.candidate.file)


def _right_or_wrong(verdict: FileVerdict) -> bool:
    return verdict.checks[0].unit == POINTS
