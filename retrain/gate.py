"""May the candidate replace the champion? Paired sequential tests on the same rows; pure, so that `replay` can ask.

Every check must pass, each at level `alpha`: promoting a bad candidate needs a wrong pass of the very check that it
should fail, so no correction for their number is needed (an intersection-union test, Berger 1982)."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from monitor.paired import e_value, e_value_against, interval, mean, start, update

Status = Literal["promote", "reject", "inconclusive"]
Scores = list[tuple[float, float]]  # candidate's and champion's score of each row, both from 0 to 1

TARGET, REGRESSION = "target", "regression"


class GateInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the verdict depends on."""

    candidate: str
    champion: str
    target: Scores  # fresh rows: must be better
    regression: Scores  # rows of the healthy time: must not be worse
    slices: dict[str, Scores] = {}  # "tag=value" -> its fresh rows: must not be worse
    min_gain: float
    margin: float
    slice_margin: float
    min_slice: int
    alpha: float


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. `passed` is None while the rows cannot tell."""

    name: str
    passed: bool | None
    estimate: float  # candidate minus champion, in points of the metric
    low: float
    high: float  # of the confidence sequence; each bound at level alpha, so `low` is above `needed` where it passed
    needed: float  # what the difference must be more than
    rows: int
    e_value: float  # evidence for it; 1 / alpha passes
    note: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What follows, from all checks."""

    status: Status
    checks: list[Check]
    reason: str


def judge(gate: GateInput) -> Verdict:
    """Promote: all checks passed. Reject: one has failed for sure. Otherwise inconclusive, which promotes nothing.

    >>> better, same = [(1.0, 0.0)] * 30, [(1.0, 1.0)] * 100
    >>> asked = dict(candidate="b", champion="a", min_gain=0.05, margin=0.1, slice_margin=0.25, min_slice=30)
    >>> asked |= dict(alpha=0.05)
    >>> [judge(GateInput(target=t, regression=same, **asked)).status for t in (better, [], [(0.0, 1.0)] * 30)]
    ['promote', 'inconclusive', 'reject']
    """
    checks = [_check(TARGET, gate.target, gate.min_gain, gate.alpha, "better where the harm is")]
    if gate.regression:
        checks.append(_check(REGRESSION, gate.regression, -gate.margin, gate.alpha, "not worse on what it could do"))
    for name, scores in sorted(gate.slices.items()):
        if len(scores) >= gate.min_slice:
            checks.append(_check(name, scores, -gate.slice_margin, gate.alpha, "not worse for this group"))
    return Verdict(status=_status(checks), checks=checks, reason=_reason(gate, checks))


def waits(gate: GateInput) -> bool:
    """Whether more rows of the healthy time could change the verdict: nothing has failed, and they do not tell yet."""
    checks = judge(gate).checks
    return all(check.passed is not False for check in checks) and any(
        check.passed is None for check in checks if check.name == REGRESSION
    )


def _check(name: str, scores: Scores, needed: float, alpha: float, note: str) -> Check:
    state = update(start(2 * alpha), [candidate - champion for candidate, champion in scores])
    low, high = interval(state)
    proof = e_value(state, needed)
    passed = True if proof >= 1 / alpha else False if e_value_against(state, needed) >= 1 / alpha else None
    return Check(
        name=name,
        passed=passed,
        estimate=round(mean(state), 4),
        low=round(low, 4),
        high=round(high, 4),
        needed=needed,
        rows=len(scores),
        e_value=float(f"{proof:.6g}") if math.isfinite(proof) else 1e300,
        note=note,
    )


def _status(checks: list[Check]) -> Status:
    if any(check.passed is False for check in checks):
        return "reject"
    return "promote" if all(check.passed for check in checks) else "inconclusive"


def _reason(gate: GateInput, checks: list[Check]) -> str:
    told = [_words(check) for check in checks if not check.passed] or [_words(check) for check in checks]
    if not gate.regression:
        told.append("no rows of the healthy time are left to compare on")
    return "; ".join(told)


def _words(check: Check) -> str:
    word = {True: "passed", False: "failed", None: "undecided"}[check.passed]
    found = f"{100 * check.estimate:+.1f} points on {check.rows} rows"
    return f"{check.name} {word}: {found}, needs more than {100 * check.needed:+.0f}"
