"""The gate: may the candidate replace the champion? Paired sequential tests on the same rows; pure, for `replay`.

Every check must pass, each at level `alpha`. To promote a bad candidate, the very check that it should fail must pass
wrongly, so no correction for the number of checks is needed (an intersection-union test, Berger 1982)."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import msgspec

from monitor.detectors.paired import Paired, counted, e_value, e_value_against, interval, mean, start, update
from monitor.selection.sources import MEANING, SELECTIONS
from retrain.evaluation.missing import MissingPairs, at_best, at_worst
from retrain.evaluation.missing import interval as missing_interval

EDITION = 1  # of `judge`: raise it with whatever makes it judge the same input otherwise
Status = Literal["promote", "reject", "inconclusive"]
Scores = list[tuple[float, float]]  # candidate's and champion's score of each row, both from 0 to 1

TARGET, REGRESSION = "target", "regression"
JUDGED, STANDS_IN = "judge", "judge for labels"  # a judge model's checks: one may block, the other promote
UNJUDGED = "an answer could not be judged"  # why a row is left out
UNJUDGED_ALONE = "the candidate's answer alone could not be judged"
GROUP_SHARE = 0.1  # of the fresh rows: a group with so many is checked, however few they are
NAMED = 5  # groups that a reason names


class GateInput(msgspec.Struct, frozen=True, kw_only=True):
    """All that the verdict depends on."""

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
    left_out: dict[str, int] = {}  # why -> rows that neither side was asked
    untaught: dict[str, int] = {}  # why -> fresh rows that the candidate could not be taught
    missing: dict[str, MissingPairs] = {}  # target, regression or a group -> audited rows that have no label
    unfair: dict[str, int] = {}  # why -> labelled rows that teach and do not judge
    rests_on: dict[str, int] = {}  # who chose the labels (`monitor.selection.sources`) -> rows judged on
    judged: Scores = []  # fresh rows that no person labelled, by a judge model
    judge: str = ""  # its name
    judged_left_out: dict[str, int] = {}  # why -> rows that it did not compare
    judge_agrees: tuple[int, int] = (0, 0)  # audited replies on which it agreed with people, and of how many
    judge_may_promote: bool = False  # better by the judge stands in for better by labels (`policy.judge_may_promote`)
    rows: int = 0  # that both sides were asked, where a pair may be the mean of several; 0: one a pair
    cut_candidate: int = 0  # answers that ended at their limit of tokens, not by themselves
    cut_champion: int = 0
    max_cut: float = 0.1  # share of the answers of either, cut or unjudged; with more nothing is judged
    max_left_out: float = 0.5  # share of the rows; with more nothing is judged


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    missing: int = 0  # audited rows without a label, which count against it
    differing: int = 0  # of these, where the two sides answered differently
    at_worst: float | None = None  # the estimate if the candidate lost on each of these; None where none is missing


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's verdict, with all checks and its reason."""

    status: Status
    checks: list[Check]
    reason: str


def judge(gate: GateInput) -> GateVerdict:
    """Return the verdict. Promote: all checks passed. Reject: one has failed for sure. Else inconclusive, which
    promotes nothing: a check without rows, or with rows that decide nothing, has not passed.

    >>> better, same = [(1.0, 0.0)] * 30, [(1.0, 1.0)] * 100
    >>> asked = dict(candidate="b", champion="a", min_gain=0.05, margin=0.1, slice_margin=0.25, min_slice=30)
    >>> asked |= dict(alpha=0.05)
    >>> [judge(GateInput(target=t, regression=same, **asked)).status for t in (better, [], [(0.0, 1.0)] * 30)]
    ['promote', 'inconclusive', 'reject']
    >>> judge(GateInput(target=better, regression=[], **asked)).status
    'inconclusive'
    """
    checks = [_check(question, gate.alpha) for question in _questions(gate)]
    unfit = _unfit(gate)
    status: Status = "inconclusive" if unfit else _status(gate, checks)
    return GateVerdict(status=status, checks=checks, reason=_reason(gate, checks, unfit))


def waits(gate: GateInput, part: str = REGRESSION) -> bool:
    """Return whether more rows of a part (TARGET: the fresh rows, groups included) could change the verdict: no check
    has failed, and one of this part is undecided."""
    passed = {each.name: _passed(each, gate.alpha, counted(_differences(each))) for each in _questions(gate)}
    passed.pop(STANDS_IN, None)
    open_ = [name for name, each in passed.items() if each is None and name != JUDGED]
    return False not in passed.values() and any((name == REGRESSION) is (part == REGRESSION) for name in open_)


def short_of_labels(gate: GateInput) -> bool:
    """Return whether nothing but labels is lacking: the answers could be measured, no check has failed, and more rows
    could settle those that are undecided.

    >>> better, same = [(1.0, 0.0)] * 30, [(1.0, 1.0)] * 100
    >>> asked = dict(candidate="b", champion="a", min_gain=0.05, margin=0.1, slice_margin=0.25, min_slice=30)
    >>> inputs = [(better, []), (better[:3], same), (better, same), (same, same), ([(0.0, 0.0)] * 9, same)]
    >>> [short_of_labels(GateInput(target=t, regression=r, alpha=0.05, **asked)) for t, r in inputs]
    [True, True, False, False, False]
    """
    measured = not any(each.scores and _silence(each.name, each.scores) for each in _questions(gate))
    return measured and not _unfit(gate) and (waits(gate, TARGET) or waits(gate, REGRESSION))


class _Question(NamedTuple):
    name: str
    scores: Scores
    needed: float
    note: str
    missing: MissingPairs


def _questions(gate: GateInput) -> list[_Question]:
    groups = [(name, scores) for name, scores in sorted(gate.slices.items()) if _looked_at(gate, scores)]
    asked = [
        (TARGET, gate.target, gate.min_gain, "better where the harm is"),
        (REGRESSION, gate.regression, -gate.margin, "not worse on what it could do"),
        *((name, scores, -gate.slice_margin, "not worse for this group") for name, scores in groups),
    ]
    found = [_Question(*each, gate.missing.get(each[0], MissingPairs())) for each in asked]
    if gate.judged:
        found.append(_Question(JUDGED, gate.judged, 0.0, "not worse by a judge model", MissingPairs()))
    if gate.judged and gate.judge_may_promote:
        found.append(_Question(STANDS_IN, gate.judged, gate.min_gain, "better by a judge model", MissingPairs()))
    return found


def _differences(asked: _Question) -> list[float]:
    return [mine - theirs for mine, theirs in asked.scores if _scored(mine, theirs)]


def _passed(asked: _Question, alpha: float, state: Paired) -> bool | None:
    """Return whether the check passed; None while it is undecided."""
    if _silence(asked.name, asked.scores):
        return None
    if _proof(asked, state) >= 1 / alpha:
        return True
    return False if e_value_against(at_best(state, asked.missing), asked.needed) >= 1 / alpha else None


def _proof(asked: _Question, state: Paired) -> float:
    """Return the evidence for the claim: on the labelled rows by what is needed, and with all the missing ones against
    it still for better, or not worse than is tolerated."""
    if not asked.missing.count:
        return e_value(state, asked.needed)
    return min(e_value(state, asked.needed), e_value(at_worst(state, asked.missing), min(0.0, asked.needed)))


def _check(asked: _Question, alpha: float) -> Check:
    state, missing = update(start(2 * alpha), _differences(asked)), asked.missing
    low, high = missing_interval(state, missing, 2 * alpha) if missing.count else interval(state)
    proof = _proof(asked, state)
    return Check(
        name=asked.name,
        passed=_passed(asked, alpha, state),
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
    )


def _looked_at(gate: GateInput, scores: Scores) -> bool:
    return len(scores) >= gate.min_slice or len(scores) >= GROUP_SHARE * len(gate.target) or not scores


def _scored(candidate: float, champion: float) -> bool:
    """Check that both scores are numbers from 0 to 1."""
    return 0.0 <= candidate <= 1.0 and 0.0 <= champion <= 1.0


def _silence(name: str, scores: Scores) -> str:
    """Return why the rows can decide nothing, however many there are; empty where they can. A group in which neither
    side was ever right is not worse off; where that is so of all rows, the measurement has failed."""
    broken = sum(not _scored(*pair) for pair in scores)
    if not scores:
        return "there are no rows to compare on"
    if broken:
        return f"{broken} of {len(scores)} rows have a score that is no number from 0 to 1"
    if name in (TARGET, REGRESSION) and not any(max(pair) > 0 for pair in scores):
        return f"neither scored on any of {len(scores)} rows"
    return ""


def asked_rows(gate: GateInput) -> int:
    """Return how many rows both sides were asked."""
    return gate.rows or len(gate.target) + len(gate.regression)


def _unfit(gate: GateInput) -> list[str]:
    """Return the reasons why these answers give no verdict."""
    asked, gone = asked_rows(gate), sum(gate.left_out.values())
    found = [
        f"{count} of {asked} answers of the {side} ended at their limit of tokens, at most {gate.max_cut:.0%} may"
        for side, count in (("candidate", gate.cut_candidate), ("champion", gate.cut_champion))
        if count > gate.max_cut * asked
    ]
    if (alone := gate.left_out.get(UNJUDGED_ALONE, 0)) > gate.max_cut * (asked + alone):  # it may be worst just there
        found.append(f"{UNJUDGED_ALONE} on {alone} of {asked + alone} rows, at most {gate.max_cut:.0%} may")
    if gone > gate.max_left_out * (asked + gone):
        found.append(f"{gone} of {asked + gone} rows could not be asked, at most {gate.max_left_out:.0%} may")
    return found


def _status(gate: GateInput, checks: list[Check]) -> Status:
    """Return the verdict: a judge model's checks may block, and stand in for better by labels where that is allowed."""
    passed, alone = {check.name: check.passed for check in checks}, gate.judged_left_out.get(UNJUDGED_ALONE, 0)
    stands_in = passed.pop(STANDS_IN, None)
    if False in passed.values():
        return "reject"
    passed.pop(JUDGED, None)
    if stands_in and alone <= gate.max_cut * (len(gate.judged) + alone):  # it may be worst where it has no score
        passed[TARGET] = True
    return "promote" if all(passed.values()) else "inconclusive"


def _reason(gate: GateInput, checks: list[Check], unfit: list[str]) -> str:
    by_labels = [check for check in checks if check.name not in (JUDGED, STANDS_IN)]
    by_judge = [check for check in checks if check not in by_labels and check.passed is not None]
    parts = [_sentence(each) for each in [each for each in by_labels if not each.passed] or by_labels]
    parts += [_sentence(each) for each in by_judge]
    if not gate.regression:
        parts.append("no rows of the healthy time are left to compare on")
    scored = {TARGET: gate.target, REGRESSION: gate.regression, **gate.slices}
    silent = {check.name: _silence(check.name, scored[check.name]) for check in by_labels if scored[check.name]}
    parts += [f"{name}: {why}" for name, why in silent.items() if why]
    return "; ".join([*unfit, *parts, *_unseen(gate), *_asides(gate)])


def _unseen(gate: GateInput) -> list[str]:
    """Return the groups with too few rows, in one sentence."""
    small = [f"{name} ({len(rows)})" for name, rows in sorted(gate.slices.items()) if not _looked_at(gate, rows)]
    more = [f"{len(small) - NAMED} more"] if len(small) > NAMED else []
    return [f"groups with too few rows to be looked at: {', '.join([*small[:NAMED], *more])}"] if small else []


def _asides(gate: GateInput) -> list[str]:
    """Return the counts of rows left out and of answers cut."""
    found = [f"{count} rows left out: {why}" for why, count in sorted(gate.left_out.items()) if count]
    found += [f"{count} rows not learned from: {why}" for why, count in sorted(gate.untaught.items()) if count]
    found += [f"{count} rows teach and do not judge: {why}" for why, count in sorted(gate.unfair.items()) if count]
    found += [f"judged by labels {origins}" for origins in [_origins(gate)] if origins]
    if gate.judge:
        found.append(_judge(gate))
    if gate.cut_candidate or gate.cut_champion:
        found.append(f"answers cut at their limit: candidate {gate.cut_candidate}, champion {gate.cut_champion}")
    return found


def _judge(gate: GateInput) -> str:
    """Return what the judge model may do here, and how far it is to be believed."""
    may = "may block, and promote" if gate.judge_may_promote else "may block, never promote"
    agreed, compared = gate.judge_agrees
    believed = f"agrees with people on {agreed} of {compared} audited replies" if compared else "no audit tells of it"
    return f"the judge model ({gate.judge}) scored {len(gate.judged)} rows without a label: it {may}; {believed}"


def _origins(gate: GateInput) -> str:
    """Return who chose the labels that the verdict rests on, for people."""
    known = {each: MEANING[each] for each in SELECTIONS if gate.rests_on.get(each)}
    return ", ".join(f"{meaning} ({gate.rests_on[each]})" for each, meaning in known.items())


def _sentence(check: Check) -> str:
    state = {True: "passed", False: "failed", None: "undecided"}[check.passed]
    found = f"{100 * check.estimate:+.1f} points on {check.rows} rows"
    if check.at_worst is not None:
        found += (
            f"; were the {check.missing} audited rows without a label all against it, {100 * check.at_worst:+.1f}, "
            f"which must be proven to be more than {100 * min(0.0, check.needed):+.0f}"
        )
    return f"{check.name} {state}: {found}, needs more than {100 * check.needed:+.0f}"
