"""One comparison of candidate and champion on the same rows: what is claimed, what the rows say, and in which words.

A check passes where the claim is proven, fails where its opposite is, and is undecided meanwhile. One that holds back
must pass; another can only fail: its rows are too few to wait for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from monitor.detectors.paired import Paired, e_value, e_value_against, mean, tallied
from retrain.evaluation.missing import MissingPairs, at_best, at_worst, interval
from retrain.evaluation.outlook import Outlook, outlook

Status = Literal["promote", "reject", "inconclusive"]
Scores = list[tuple[float, float]]  # candidate's and champion's score of each row, both from 0 to 1

TARGET, REGRESSION = "target", "regression"  # the parts of the rows: where it must be better, where not worse
POINTS, TIMES = "points", "times"  # units: 0.01 are one point; how many times as long, of a difference of shares
UNITS = {POINTS: 100.0, TIMES: 1.0}


class Question(NamedTuple):
    """A claim: the candidate's scores are better than the champion's by more than `needed`."""

    name: str
    scores: Scores
    needed: float
    note: str
    missing: MissingPairs = MissingPairs()
    holds_back: bool = True  # while it is undecided
    unit: str = POINTS
    every_zero: bool = True  # may it be that neither scored on any row? Else the measurement has failed


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One comparison. `passed` is None while the rows cannot tell."""

    name: str
    passed: bool | None
    estimate: float  # candidate minus champion, as a share of the metric's range
    low: float
    high: float  # of the confidence sequence; each bound at level alpha, so `low` is above `needed` where it passed
    needed: float  # what the difference must be more than
    rows: int
    e_value: float  # evidence for it; 1 / alpha passes
    note: str
    missing: int = 0  # audited rows without a label, which count against it
    differing: int = 0  # of these, where the two sides answered differently
    at_worst: float | None = None  # the estimate if the candidate lost on each of these; None where none is missing
    holds_back: bool = True  # nothing is promoted while it is undecided; else it can only end a candidate
    unit: str = POINTS  # of the numbers for people (`amount`): points, times, or a metric's name
    scale: float = 100.0  # what a whole stands for in that unit
    more: int = 0  # rows that would settle it, if the next ones are like these; 0: not known, or nothing is open
    more_low: int = 0  # as few as that in a tenth of the cases
    more_high: int = 0  # and as many; 0: no number would do


def checked(asked: Question, alpha: float, scale: float | None = None) -> Check:
    """Return what the rows say of the claim, at level `alpha`."""
    state, missing = _tallied(asked), asked.missing
    low, high = interval(state, missing, 2 * alpha)
    proof, found = _proof(asked, state), _passed(asked, alpha, state)
    ahead = _outlook(asked, alpha, state) if found is None else Outlook()
    return Check(
        name=asked.name,
        passed=found,
        estimate=round(mean(state), 4),
        low=round(low, 4),
        high=round(high, 4),
        needed=asked.needed,
        rows=len(asked.scores),
        e_value=float(f"{proof:.6g}") if math.isfinite(proof) else 1e300,
        note=asked.note,
        missing=missing.count,
        differing=missing.differing,
        at_worst=round(mean(at_worst(state, missing)), 4) if missing.count else None,
        holds_back=asked.holds_back,
        unit=asked.unit,
        scale=UNITS.get(asked.unit, 1.0) if scale is None else scale,
        more=ahead.expected,
        more_low=ahead.low,
        more_high=ahead.high,
    )


def passed(asked: Question, alpha: float) -> bool | None:
    """Return whether the check passed; None while it is undecided."""
    return _passed(asked, alpha, _tallied(asked))


def status(checks: Sequence[Check]) -> Status:
    """Return the verdict of the checks. Promote: all passed that hold back, and there is one. Reject: one has failed.

    >>> status([])
    'inconclusive'
    """
    if any(check.passed is False for check in checks):
        return "reject"
    blocking = [check.passed for check in checks if check.holds_back]
    return "promote" if blocking and all(blocking) else "inconclusive"


def telling(checks: Sequence[Check]) -> list[Check]:
    """Return the checks by which the verdict is what it is: the failed ones, else those that hold back, else all."""
    failed = [check for check in checks if check.passed is False]
    waiting = [check for check in checks if check.passed is None and check.holds_back]
    return failed or waiting or list(checks)


def level(alpha: float, attempt: int) -> float:
    """Return the level of the checks of a verdict that is the `attempt`-th, from 1, at the same harm: the chances of
    all to err come to no more than `alpha`, however many there will be.

    >>> [level(0.05, attempt) for attempt in (1, 2, 3)]
    [0.025, 0.0125, 0.00625]
    """
    return alpha / 2.0**attempt


def _tallied(asked: Question) -> Paired:
    """Count the differences, candidate minus champion: many rows have one of few."""
    found: Counter[float] = Counter()
    for (mine, theirs), number in Counter(asked.scores).items():
        if _scored(mine, theirs):
            found[mine - theirs] += number
    return tallied(found)


def silence(asked: Question) -> str:
    """Return why the rows can decide nothing, however many there are; empty where they can. A group in which neither
    side was ever right is not worse off; where that is so of all rows, the measurement has failed."""
    scores = asked.scores
    broken = sum(number for pair, number in Counter(scores).items() if not _scored(*pair))
    if not scores:
        return "there are no rows to compare on"
    if broken:
        return f"{broken} of {len(scores)} rows have a score that is no number from 0 to 1"
    if not asked.every_zero and not any(max(pair) > 0 for pair in scores):
        return f"neither scored on any of {len(scores)} rows"
    return ""


def amount(check: Check, value: float) -> str:
    """Return a difference in the check's unit.

    >>> asked = Question("target", [(1.0, 0.0)] * 3, 0.02, "better")
    >>> amount(checked(asked, 0.05), 0.02), amount(checked(asked._replace(unit="ROUGE-L"), 0.05), -0.125)
    ('+2.0 points', 'ROUGE-L -0.125')
    >>> amount(checked(asked._replace(unit="times"), 0.05), -1 / 3)
    '2.00 times'
    """
    if check.unit == TIMES:
        return f"{(1 - value) / max(1 + value, 1e-4):.2f} times"
    if check.unit == POINTS:
        return f"{100 * value:+.1f} points"
    return f"{check.unit} {check.scale * value:+.3g}"


def sentence(check: Check) -> str:
    """Return what the check found, for people."""
    state = {True: "passed", False: "failed", None: "undecided"}[check.passed]
    found = f"{amount(check, check.estimate)} on {check.rows} rows"
    if check.at_worst is not None:
        found += (
            f"; were the {check.missing} audited rows without a label all against it, {amount(check, check.at_worst)}, "
            f"which must be proven to be more than {amount(check, min(0.0, check.needed))}"
        )
    than = "less" if check.unit == TIMES else "more"
    return f"{check.name} {state}: {found}, needs {than} than {amount(check, check.needed)}{further(check)}"


def further(check: Check) -> str:
    """Return how many rows more would settle the check; empty where that is not open, or not known."""
    if check.passed is not None or not check.rows:
        return ""
    if not check.holds_back:
        return "; too few rows to wait for"
    if not check.more:
        return f"; it takes at least about {check.more_low} more labels" if check.more_low else ""
    most = f"to {check.more_high}" if check.more_high else "or more than can be foreseen"
    return f"; about {check.more} more labels would settle it ({check.more_low} {most})"


def _passed(asked: Question, alpha: float, state: Paired) -> bool | None:
    if silence(asked):
        return None
    if _proof(asked, state) >= 1 / alpha:
        return True
    return False if e_value_against(at_best(state, asked.missing), asked.needed) >= 1 / alpha else None


def _proof(asked: Question, state: Paired) -> float:
    """Return the evidence for the claim: on the labelled rows by what is needed, and with all the missing ones against
    it still for better, or not worse than is tolerated."""
    if not asked.missing.count:
        return e_value(state, asked.needed)
    return min(e_value(state, asked.needed), e_value(at_worst(state, asked.missing), min(0.0, asked.needed)))


def _outlook(asked: Question, alpha: float, state: Paired) -> Outlook:
    """Return how many labels would settle the claim; with missing ones, those too that make up for them."""
    seen = outlook(state.times, asked.needed, alpha)
    if not asked.missing.count:
        return seen
    return seen.later(outlook(at_worst(state, asked.missing).times, min(0.0, asked.needed), alpha))


def _scored(candidate: float, champion: float) -> bool:
    """Check that both scores are numbers from 0 to 1."""
    return 0.0 <= candidate <= 1.0 and 0.0 <= champion <= 1.0
