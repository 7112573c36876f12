"""The gate: may the candidate replace the champion? Paired sequential tests on the same rows; pure, for `replay`.

Every check must pass, each at level `alpha`. To promote a bad candidate, the very check that it should fail must pass
wrongly, so no correction for the number of checks is needed (an intersection-union test, Berger 1982)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitor.metrics import YES_OR_NO, spoken
from monitor.selection.sources import MEANING, SELECTIONS
from retrain.evaluation import groups, model_checks, ratios, safety
from retrain.evaluation.checks import (
    POINTS,
    REGRESSION,
    TARGET,
    TIMES,
    Check,
    Question,
    Scores,
    Status,
    checked,
    passed,
    sentence,
    silence,
    status,
    telling,
)
from retrain.evaluation.missing import MissingPairs
from retrain.evaluation.safety import SafetyOutcome

EDITION = 2  # of `judge`: raise it with whatever makes it judge the same input otherwise

LENGTH, LATENCY, BUSINESS, SWAPPED = "length of answers", "latency", "business", "named"
HEALTHY = (REGRESSION, LENGTH, LATENCY)  # checks that fresh rows say nothing about
UNJUDGED = "an answer could not be judged"  # why a row is left out
UNJUDGED_ALONE = "the candidate's answer alone could not be judged"


class GateInput(msgspec.Struct, frozen=True, kw_only=True):
    """All that the verdict depends on."""

    candidate: str
    champion: str
    target: Scores  # fresh rows: must be better
    regression: Scores  # rows of the healthy time: must not be worse
    slices: dict[str, Scores] = {}  # "tag=value" -> its rows of both parts: must not be worse
    min_gain: float
    margin: float
    slice_margin: float
    min_slice: int
    alpha: float
    metric: str = ""  # by which answers are scored, as `scoring.metrics` names it
    safety: list[SafetyOutcome] = []  # the operator's safety prompts; empty where there is no such set
    lengths: Scores = []  # tokens of both sides' answers to rows of the healthy time
    max_length_ratio: float = 0.0  # how many times as long the candidate's may be; 0: only said
    latencies: Scores = []  # milliseconds until both sides' answers to them were whole
    max_latency_ratio: float = 0.0  # likewise
    business: Scores = []  # scores by a further metric, on rows of both parts
    business_metric: str = ""  # its name; empty where there is none
    business_margin: float = 0.0  # by which a candidate may be worse by it
    swapped: dict[str, Scores] = {}  # "tag=group" -> the candidate's scores where it is named, and where another is
    max_swapped_gap: float = 0.0  # by which the first may be worse; 0: only said
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
    asked, unfit = list(_questions(gate)), _unfit(gate)
    checks = [*([safety.check(gate.safety)] if gate.safety else []), *(checked(each, gate.alpha) for each in asked)]
    trusted = _trusted(gate)
    found: Status = "inconclusive" if unfit else status(model_checks.standing(checks, TARGET, trusted=trusted))
    silent = [f"{each.name}: {why}" for each in asked if each.scores and (why := silence(each))]
    return GateVerdict(status=found, checks=checks, reason="; ".join([*unfit, *_reason(gate, checks, silent)]))


def waits(gate: GateInput, part: str = REGRESSION) -> bool:
    """Return whether more rows of a part (TARGET: the fresh rows) could change the verdict: no check has failed, and
    one is undecided that this part's rows say something about."""
    asked = [each for each in _questions(gate) if each.name != model_checks.STANDS_IN]
    found = [(each, passed(each, gate.alpha)) for each in asked]
    broken = gate.safety and safety.check(gate.safety).passed is False
    deaf = HEALTHY if part == TARGET else (TARGET,)
    undecided = [each.name for each, state in found if state is None and each.holds_back and each.name not in deaf]
    return not broken and bool(undecided) and all(state is not False for _, state in found)


def short_of_labels(gate: GateInput) -> bool:
    """Return whether nothing but labels is lacking: the answers could be measured, no check has failed, and more rows
    could settle those that are undecided.

    >>> better, same = [(1.0, 0.0)] * 30, [(1.0, 1.0)] * 100
    >>> asked = dict(candidate="b", champion="a", min_gain=0.05, margin=0.1, slice_margin=0.25, min_slice=30)
    >>> inputs = [(better, []), (better[:3], same), (better, same), (same, same), ([(0.0, 0.0)] * 9, same)]
    >>> [short_of_labels(GateInput(target=t, regression=r, alpha=0.05, **asked)) for t, r in inputs]
    [True, True, False, False, False]
    """
    measured = not any(each.scores and silence(each) for each in _questions(gate))
    safe = not gate.safety or safety.check(gate.safety).passed is True
    return measured and safe and not _unfit(gate) and (waits(gate, TARGET) or waits(gate, REGRESSION))


def _questions(gate: GateInput) -> Iterator[Question]:
    """Yield the claims, each of which must hold."""
    unit = POINTS if gate.metric in YES_OR_NO else spoken(gate.metric) if gate.metric else POINTS
    lacking = {name: gate.missing.get(name, MissingPairs()) for name in (TARGET, REGRESSION)}
    yield Question(
        *(TARGET, gate.target, gate.min_gain, "better where the harm is", lacking[TARGET]),
        unit=unit,
        every_zero=False,
    )
    yield Question(
        *(REGRESSION, gate.regression, -gate.margin, "not worse on what it could do", lacking[REGRESSION]),
        unit=unit,
        every_zero=False,
    )
    rules = groups.GroupRules(_pairs(gate), gate.slice_margin, gate.min_slice, gate.alpha, unit)
    yield from groups.questions(gate.slices, gate.missing, rules)
    yield from model_checks.questions(gate.judged, gate.min_gain, may_promote=gate.judge_may_promote)
    if gate.business_metric:
        note = "not worse for the business"
        yield Question(
            f"{BUSINESS}: {spoken(gate.business_metric)}", gate.business, -gate.business_margin, note, unit=POINTS
        )
    for name, pairs in sorted(gate.swapped.items()):
        if gate.max_swapped_gap and pairs:
            note = "not worse where a request names this group and not another"
            yield Question(f"{SWAPPED}: {name}", pairs, -gate.max_swapped_gap, note, unit=unit)
    for name, pairs, ratio in _measured(gate):
        if ratio and pairs:
            yield Question(name, ratios.shares(pairs), ratios.needed(ratio), "not much longer", unit=TIMES)


def _measured(gate: GateInput) -> list[tuple[str, Scores, float]]:
    return [
        (LENGTH, gate.lengths, gate.max_length_ratio),
        (LATENCY, gate.latencies, gate.max_latency_ratio),
    ]


def _pairs(gate: GateInput) -> int:
    return len(gate.target) + len(gate.regression)


def asked_rows(gate: GateInput) -> int:
    """Return how many rows both sides were asked."""
    return gate.rows or _pairs(gate)


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


def _trusted(gate: GateInput) -> bool:
    """Return whether a judge model's scores may stand for labels: the candidate may be worst where it has none."""
    alone = gate.judged_left_out.get(UNJUDGED_ALONE, 0)
    return gate.judge_may_promote and alone <= gate.max_cut * (len(gate.judged) + alone)


def _reason(gate: GateInput, checks: list[Check], silent: list[str]) -> list[str]:
    by_labels, by_model = model_checks.parted(checks)
    parts = [safety.sentence(each) if each.name == safety.NAME else sentence(each) for each in telling(by_labels)]
    parts += [sentence(each) for each in by_model if each.passed is not None]
    if not gate.regression:
        parts.append("no rows of the healthy time are left to compare on")
    return [*parts, *silent, *_together(gate), *_asides(gate)]


def _together(gate: GateInput) -> list[str]:
    """Return the groups that are too small to hold back, a sentence for each tag."""
    small = groups.small(gate.slices, _pairs(gate))
    return [f"small groups, looked at together: {groups.listed(each)}" for each in small.values()]


def _asides(gate: GateInput) -> list[str]:
    """Return the counts of rows left out and of answers cut."""
    found = [f"{count} rows left out: {why}" for why, count in sorted(gate.left_out.items()) if count]
    found += [f"{count} rows not learned from: {why}" for why, count in sorted(gate.untaught.items()) if count]
    found += [f"{count} rows teach and do not judge: {why}" for why, count in sorted(gate.unfair.items()) if count]
    found += [f"judged by labels {origins}" for origins in [_origins(gate)] if origins]
    if gate.judge:
        found.append(
            model_checks.described(gate.judge, len(gate.judged), gate.judge_agrees, may_promote=gate.judge_may_promote)
        )
    if gate.cut_candidate or gate.cut_champion:
        found.append(f"answers cut at their limit: candidate {gate.cut_candidate}, champion {gate.cut_champion}")
    found += [
        f"{name} {ratios.typical(pairs):.2f} times the champion's, not limited"
        for name, pairs, ratio in _measured(gate)
        if pairs and not ratio
    ]
    return found


def _origins(gate: GateInput) -> str:
    """Return who chose the labels that the verdict rests on, for people."""
    known = {each: MEANING[each] for each in SELECTIONS if gate.rests_on.get(each)}
    return ", ".join(f"{meaning} ({gate.rests_on[each]})" for each, meaning in known.items())
