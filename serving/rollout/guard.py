"""The guard: is the canary doing harm? Errors, slow replies and labels' losses, canary against champion, at any time.

Each is an e-process (`monitor.detectors.paired`): a fair bet against "worse by at most `delta`". Their mean is one too,
so a harmless canary is ever called harmful with probability at most `alpha`, however often one looks and for all three
together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from monitor.detectors.paired import Arms, Paired, e_value, e_worse, start, start_arms, update, update_arms
from monitor.detectors.risk import upper_bound

HARMS = ("errors", "slow", "wrong")


class ReplyOutcome(msgspec.Struct, frozen=True, array_like=True):
    """One reply, or one label of a reply; None where nothing is known. `wrong`: the label's loss; in records from
    before losses, whether it says wrong."""

    candidate: bool
    error: bool | None = None
    slow: bool | None = None
    wrong: float | bool | None = None


class Counts(msgspec.Struct, frozen=True):
    """Outcomes of one arm for one harm."""

    bad: float = 0  # how many were bad; of labels, the sum of their losses
    count: int = 0


class Guard(msgspec.Struct, frozen=True):
    """Everything seen of both arms since the candidate answers requests."""

    delta: float
    alpha: float
    arms: dict[str, Arms]  # harm -> the running comparison
    champion: dict[str, Counts]
    candidate: dict[str, Counts]
    replies: int = 0  # of the candidate


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


def start_guard(delta: float, alpha: float) -> Guard:
    """Return a guard that has seen nothing of either arm."""
    none = {harm: Counts() for harm in HARMS}
    return Guard(delta, alpha, {harm: start_arms(alpha) for harm in HARMS}, none, none)


def update_guard(guard: Guard, outcomes: Sequence[ReplyOutcome]) -> Guard:
    """Take outcomes in the order they came."""
    if not outcomes:
        return guard
    arms = {harm: update_arms(guard.arms[harm], _known(outcomes, harm)) for harm in HARMS}
    champion = {h: _counted(guard.champion[h], _known(outcomes, h), candidate=False) for h in HARMS}
    candidate = {h: _counted(guard.candidate[h], _known(outcomes, h), candidate=True) for h in HARMS}
    return Guard(guard.delta, guard.alpha, arms, champion, candidate, guard.replies + _replies(outcomes))


def verdict(guard: Guard) -> GuardVerdict:
    """Return the verdict; fired: worse by more than `delta`, at level `alpha`."""
    values = {harm: e_worse(guard.arms[harm], guard.delta) for harm in HARMS}
    sides = (("champion", guard.champion), ("candidate", guard.candidate))
    seen = [(f"{harm}_{name}", side[harm]) for harm in HARMS for name, side in sides if side[harm].count]
    rates = {name: round(counts.bad / counts.count, 4) for name, counts in seen}
    return _judged(values, guard.alpha, guard.delta, rates)


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
    excesses = {
        harm: update(state, [bad - guard.baselines[harm] for ours, bad in _known(outcomes, harm) if ours])
        for harm, state in guard.excesses.items()
    }
    return PostPromotionGuard(guard.delta, guard.alpha, guard.baselines, excesses, guard.replies + _replies(outcomes))


def post_promotion_verdict(guard: PostPromotionGuard) -> GuardVerdict:
    """Return the verdict; fired: the new champion is worse than the old one ever plausibly was, by more than
    `delta`."""
    values = {harm: e_value(state, guard.delta) for harm, state in guard.excesses.items()}
    return _judged(values, guard.alpha, guard.delta, {f"{h}_baseline": rate for h, rate in guard.baselines.items()})


def _judged(values: dict[str, float], alpha: float, delta: float, rates: dict[str, float]) -> GuardVerdict:
    mean = sum(values.values()) / len(values) if values else 1.0
    numbers = {f"{harm}_log10_e": _log10(value) for harm, value in values.items()}
    numbers |= {"log10_e": _log10(mean), "log10_threshold": _log10(1 / alpha), **rates}
    if mean < 1 / alpha:
        return GuardVerdict("ok", numbers)
    worst = max(values, key=lambda harm: values[harm])
    return GuardVerdict("fired", numbers, f"{worst}: worse by more than {delta:g}, e-value {values[worst]:.3g}")


def _known(outcomes: Sequence[ReplyOutcome], harm: str) -> list[tuple[bool, float]]:
    name = "error" if harm == "errors" else harm
    return [(o.candidate, float(bad)) for o in outcomes if (bad := getattr(o, name)) is not None]


def _counted(counts: Counts, known: list[tuple[bool, float]], *, candidate: bool) -> Counts:
    bad = [outcome for ours, outcome in known if ours is candidate]
    return Counts(round(counts.bad + sum(bad), 4), counts.count + len(bad))


def _bound(counts: Counts, confidence: float) -> float:
    return round(upper_bound(math.ceil(counts.bad), counts.count, confidence), 6)


def _replies(outcomes: Sequence[ReplyOutcome]) -> int:
    return sum(1 for o in outcomes if o.candidate and o.error is not None)


def _log10(value: float) -> float:
    return round(math.log10(max(value, 1e-300)), 4) + 0.0
