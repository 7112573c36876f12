"""The guard: is the canary doing harm? Errors, slow replies and labels' losses, canary against champion, at any time;
of a candidate on trial, which no labels have proven, also answers with a flag.

It compares the arms as they were drawn (intention to treat): what the champion answers for a canary that is missing is
what the canary's clients saw. The arm is drawn for a conversation, else an end user; so that is what counts, and not
its replies, which are alike: one client with a hundred errors in a row is one client. Of each only the 1st, the 2nd,
the 4th and the 8th outcome are compared, each with its like in a comparison of its own.

Each comparison of each harm is an e-process (`monitor.detectors.paired`): a fair bet against "worse by at most
`delta`". Their weighted mean is one too, so a harmless canary is ever called harmful with probability at most `alpha`:
however often one looks, for all of them together, and however alike the outcomes of one client are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from monitor.detectors.paired import (
    Arms,
    Paired,
    counted,
    e_value,
    e_worse,
    start,
    start_arms,
    update,
    update_arms,
)
from monitor.detectors.risk import upper_bound

HARMS = ("errors", "slow", "wrong")
ON_TRIAL = (*HARMS, "flagged")
WEIGHTS = {1: 0.75, 2: 0.125, 4: 0.0625, 8: 0.0625}  # of the comparison of everybody's n-th outcomes; their sum is 1
ANSWERED = 0.9  # of what was drawn for the canary it must have answered itself: else its harm is diluted


class ReplyOutcome(msgspec.Struct, frozen=True, array_like=True):
    """One reply, or one label of a reply; None where nothing is known. `candidate`: whether it is the candidate's arm.
    `wrong`: the label's loss; in records from before losses, whether it says wrong. `nth`: which outcome it is of its
    conversation or end user. `answered`: whether the arm's own version answered. `flagged`: whether the answer is cut
    off, or carries private data, abuse, a refusal or an operator's pattern."""

    candidate: bool
    error: bool | None = None
    slow: bool | None = None
    wrong: float | bool | None = None
    nth: int = 1
    answered: bool = True
    flagged: bool | None = None


class Counts(msgspec.Struct, frozen=True):
    """Outcomes of one arm for one harm."""

    bad: float = 0  # how many were bad; of labels, the sum of their losses
    count: int = 0


class Guard(msgspec.Struct, frozen=True):
    """Everything seen of both arms since the candidate answers requests. The first outcomes' comparison has the harm's
    name, that of the n-th ones `harm/n`."""

    delta: float
    alpha: float
    arms: dict[str, Arms]  # harm -> the running comparison
    champion: dict[str, Counts]
    candidate: dict[str, Counts]
    replies: int = 0  # that the candidate gave
    drawn: int = 0  # replies of its arm, those of the champion in its place too


class PostPromotionGuard(msgspec.Struct, frozen=True):
    """The new champion against what is known of the one before."""

    delta: float
    alpha: float
    baselines: dict[str, float]  # harm -> highest plausible rate of the previous champion
    excesses: dict[str, Paired]
    replies: int = 0


class GuardVerdict(msgspec.Struct, frozen=True):
    """`numbers`: log10 of each e-value and of their mean, its threshold, and the rates."""

    state: Literal["ok", "fired"]
    numbers: dict[str, float]
    reason: str = ""

    @property
    def doubtful(self) -> bool:
        """Return whether it is more than half-way to its threshold: too far for a promotion."""
        return 2 * self.numbers["log10_e"] >= self.numbers["log10_threshold"]


def start_guard(delta: float, alpha: float, harms: Sequence[str] = HARMS) -> Guard:
    """Return a guard that has seen nothing of either arm."""
    none = {harm: Counts() for harm in harms}
    return Guard(delta, alpha, {harm: start_arms(alpha) for harm in harms}, none, none)


def update_guard(guard: Guard, outcomes: Sequence[ReplyOutcome]) -> Guard:
    """Take outcomes in the order they came."""
    if not outcomes:
        return guard
    arms, champion, candidate = dict(guard.arms), dict(guard.champion), dict(guard.candidate)
    for name, known in _compared(outcomes, _harms(guard.arms)):
        arms[name] = update_arms(arms.get(name) or start_arms(guard.alpha), known)
        champion[name] = _counted(champion.get(name, Counts()), known, candidate=False)
        candidate[name] = _counted(candidate.get(name, Counts()), known, candidate=True)
    replies, drawn = guard.replies + _replies(outcomes), guard.drawn + _drawn(outcomes)
    return Guard(guard.delta, guard.alpha, arms, champion, candidate, replies, drawn)


def verdict(guard: Guard) -> GuardVerdict:
    """Return the verdict; fired: worse by more than `delta`, at level `alpha`."""
    each, harms = {name: e_worse(arms, guard.delta) for name, arms in guard.arms.items()}, _harms(guard.arms)
    values = {harm: _mean(harm, each) for harm in harms}
    sides = (("champion", guard.champion), ("candidate", guard.candidate))
    seen = [(f"{harm}_{name}", side[harm]) for harm in harms for name, side in sides if side[harm].count]
    rates = {name: round(counts.bad / counts.count, 4) for name, counts in seen}
    return _judged(values, guard.alpha, guard.delta, rates)


def lacking(guard: Guard, replies: int) -> str:
    """Return what a guard that has not fired lacks before its silence means that the canary is harmless; empty where it
    lacks nothing. `replies`: how many the canary must have given. They must come from as many conversations or users,
    up to those whose errors alone would be noticed."""
    compared, needed = guard.arms["errors"].paired.count, fewest(guard.delta, guard.alpha, _harms(guard.arms))
    if guard.replies < replies:
        return "too few"
    if guard.replies < ANSWERED * guard.drawn:
        return f"of {guard.drawn} requests drawn for it, too few"
    if compared < min(replies, needed):
        return f"{compared} conversations or users compared with the champion's, too few"
    return "the guard in doubt" if verdict(guard).doubtful else ""


@lru_cache(maxsize=64)
def fewest(delta: float, alpha: float, harms: tuple[str, ...] = HARMS) -> int:
    """Return how many conversations it takes to be in doubt about a canary that answers none.

    >>> fewest(0.05, 0.01)
    9
    """
    guard, count = start_guard(delta, alpha, harms), 0
    while not verdict(guard).doubtful:
        count += 1
        errors = Arms(paired=counted([1.0] * count))
        guard = msgspec.structs.replace(guard, arms={**guard.arms, "errors": errors})
    return count


def start_post_promotion(guard: Guard) -> PostPromotionGuard:
    """Return the guard after a promotion. The old champion's rate is the baseline, at its upper confidence bound,
    because it was counted from few replies; losses between 0 and 1 vary less than errors, so that bound holds for them
    too (Hoeffding 1956, "On the distribution of the number of successes in independent trials"). A harm that was never
    counted is not watched."""
    known = {harm: counts for harm, counts in guard.champion.items() if counts.count}
    baselines = {harm: _bound(t, 1 - guard.alpha) for harm, t in known.items()}
    return PostPromotionGuard(guard.delta, guard.alpha, baselines, {harm: start(guard.alpha) for harm in known})


def update_post_promotion(guard: PostPromotionGuard, outcomes: Sequence[ReplyOutcome]) -> PostPromotionGuard:
    """Take the new champion's outcomes; those of the old one, still in flight, are left out."""
    if not outcomes:
        return guard
    excesses = dict(guard.excesses)
    for name, known in _compared(outcomes, _harms(excesses)):
        if name in excesses:
            excesses[name] = update(excesses[name], [bad - guard.baselines[name] for ours, bad in known if ours])
    return PostPromotionGuard(guard.delta, guard.alpha, guard.baselines, excesses, guard.replies + _replies(outcomes))


def post_promotion_verdict(guard: PostPromotionGuard) -> GuardVerdict:
    """Return the verdict; fired: the new champion is worse than the old one ever plausibly was, by more than
    `delta`."""
    each = {name: e_value(state, guard.delta) for name, state in guard.excesses.items()}
    values = {harm: _mean(harm, each) for harm in _harms(each)}
    return _judged(values, guard.alpha, guard.delta, {f"{h}_baseline": rate for h, rate in guard.baselines.items()})


def _judged(values: dict[str, float], alpha: float, delta: float, rates: dict[str, float]) -> GuardVerdict:
    mean = sum(values.values()) / len(values) if values else 1.0
    numbers = {f"{harm}_log10_e": _log10(value) for harm, value in values.items()}
    numbers |= {"log10_e": _log10(mean), "log10_threshold": _log10(1 / alpha), **rates}
    if mean < 1 / alpha:
        return GuardVerdict("ok", numbers)
    worst = max(values, key=lambda harm: values[harm])
    return GuardVerdict("fired", numbers, f"{worst}: worse by more than {delta:g}, e-value {values[worst]:.3g}")


def _mean(harm: str, values: Mapping[str, float]) -> float:
    """Return the weighted mean of a harm's e-values; one without outcomes is 1."""
    return math.fsum(weight * values.get(_name(harm, nth), 1.0) for nth, weight in WEIGHTS.items())


def _harms(named: Mapping[str, object]) -> tuple[str, ...]:
    """Return the harms that are watched."""
    return tuple(harm for harm in ON_TRIAL if harm in named)


def _compared(outcomes: Sequence[ReplyOutcome], harms: Sequence[str]) -> Iterator[tuple[str, list[tuple[bool, float]]]]:
    """Yield the name of each comparison that has outcomes here, and them."""
    for harm in harms:
        field = "error" if harm == "errors" else harm
        for nth in WEIGHTS:
            known = [
                (o.candidate, float(bad)) for o in outcomes if o.nth == nth and (bad := getattr(o, field)) is not None
            ]
            if known:
                yield _name(harm, nth), known


def _name(harm: str, nth: int) -> str:
    return harm if nth == 1 else f"{harm}/{nth}"


def _counted(counts: Counts, known: list[tuple[bool, float]], *, candidate: bool) -> Counts:
    bad = [outcome for ours, outcome in known if ours is candidate]
    return Counts(round(counts.bad + sum(bad), 4), counts.count + len(bad))


def _bound(counts: Counts, confidence: float) -> float:
    return round(upper_bound(math.ceil(counts.bad), counts.count, confidence), 6)


def _replies(outcomes: Sequence[ReplyOutcome]) -> int:
    return sum(1 for o in outcomes if o.candidate and o.answered and o.error is not None)


def _drawn(outcomes: Sequence[ReplyOutcome]) -> int:
    return sum(1 for o in outcomes if o.candidate and o.error is not None)


def _log10(value: float) -> float:
    return round(math.log10(max(value, 1e-300)), 4) + 0.0
