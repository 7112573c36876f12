"""A verdict on two files in words that need no statistics."""

from __future__ import annotations

from pathlib import Path

from retrain.evaluation.checks import POINTS, Check
from retrain.harness.verdict import TARGET, FileVerdict

HEADLINES = {
    "promote": "Promote: {better}.",
    "reject": "Reject: {failed}.",
    "inconclusive": "Not decided yet: {open}.",
}


def headline(verdict: FileVerdict) -> str:
    """Return the verdict in one sentence."""
    target = next(check for check in verdict.checks if check.name == TARGET)
    better = (
        "the candidate is better, and nothing else is worse than you allow"
        if target.needed >= 0
        else "the candidate is nowhere worse than you allow"
    )
    failed = ", ".join(named(check) for check in verdict.checks if check.passed is False)
    waiting = [named(check) for check in verdict.checks if check.passed is None and check.holds_back]
    return HEADLINES[verdict.status].format(
        better=better,
        failed=f"it fails at {failed}",
        open=f"the rows do not tell about {', '.join(waiting)}",
    )


def named(check: Check) -> str:
    """Return what a check is about, for people."""
    return {"target": "the score", "regression": "what the champion could do"}.get(check.name, check.name)


def score(verdict: FileVerdict, value: float) -> str:
    """Return a mean score: as a percentage of right answers, or in the score's own unit."""
    return f"{100 * value:.1f} %" if _right_or_wrong(verdict) else f"{value:.3g}"


def settled_by(verdict: FileVerdict) -> str:
    """Return how many rows more would settle what is open; empty where nothing is, or it cannot be foreseen."""
    waiting = [check for check in verdict.checks if check.passed is None and check.holds_back]
    if not waiting or not all(check.more for check in waiting):
        return ""
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
