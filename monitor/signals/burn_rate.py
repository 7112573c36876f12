"""How fast the error budget burns, over a long and a short window at once, in event time.

Multi-window, multi-burn-rate alerts (Google SRE workbook, chapter 5): the long window says it matters, the short one
says it still goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from monitor.detectors.episode import Over
from monitor.settings import BurnWindow

BUCKET_S = 10
FALLEN = 0.5  # re-armed when the burn in every short window is below this share of its rate


@dataclass(frozen=True, slots=True)
class Budget:
    """The share of bad requests that was promised, and when its loss is worth an alarm."""

    share: float
    windows: tuple[BurnWindow, ...]
    min_bad: int


class State(msgspec.Struct, frozen=True):
    """Requests and bad requests in each bucket of event time."""

    buckets: dict[int, tuple[int, int]] = {}
    latest: int = 0  # the newest bucket
    firing: bool = False


class Burn(msgspec.Struct, frozen=True):
    """A budget burns: how fast, and since when."""

    step: int
    long_s: int
    short_s: int
    rate: float  # the threshold
    burning: float  # the slower of both windows
    requests: int  # in the long window
    bad: int
    since_ms: int  # start of the first bad bucket in the short window


def update(
    budget: Budget, state: State, bad: Sequence[bool], times_ms: Sequence[int]
) -> tuple[State, list[Burn | Over]]:
    """Takes requests in order. Returns each bad one that completes the evidence, once until the burn has fallen, and
    each one that finds it fallen: the windows forget by themselves, so nothing need be quiet for longer than they."""
    buckets, latest, firing = dict(state.buckets), state.latest, state.firing
    turns: list[Burn | Over] = []
    for k, (failed, time_ms) in enumerate(zip(bad, times_ms, strict=True)):
        bucket = time_ms // (BUCKET_S * 1_000)
        newer, latest = bucket > latest, max(bucket, latest)
        if newer:
            _forget(budget, buckets, latest)
        total, lost = buckets.get(bucket, (0, 0))
        buckets[bucket] = (total + 1, lost + failed)
        if newer and firing and _fallen(budget, buckets, latest):
            firing = False
            turns.append(Over(k))
        if failed and not firing:
            burn = _burn(budget, buckets, latest, k)
            firing = burn is not None
            turns += [burn] if burn else []
    return State(buckets, latest, firing), turns


def burning(budget: Budget, state: State) -> float:
    """The highest burn rate as a share of its threshold; 1 or more fires. 0 while too few are bad."""
    ratios = [_ratio(budget, window, state.buckets, state.latest) for window in budget.windows]
    return max(ratios, default=0.0)


def _burn(budget: Budget, buckets: dict[int, tuple[int, int]], latest: int, step: int) -> Burn | None:
    for window in budget.windows:
        ratio = _ratio(budget, window, buckets, latest)
        if ratio >= 1.0:
            requests, bad = _counts(buckets, latest, window.long_s)
            since = min(at for at in _recent(buckets, latest, window.short_s) if buckets[at][1])
            since_ms = since * BUCKET_S * 1_000
            return Burn(step, window.long_s, window.short_s, window.rate, ratio * window.rate, requests, bad, since_ms)
    return None


def _ratio(budget: Budget, window: BurnWindow, buckets: dict[int, tuple[int, int]], latest: int) -> float:
    long_total, long_bad = _counts(buckets, latest, window.long_s)
    short_total, short_bad = _counts(buckets, latest, window.short_s)
    if short_bad < budget.min_bad:
        return 0.0
    share = min(long_bad / long_total, short_bad / short_total)
    return share / _share(budget, window)


def _counts(buckets: dict[int, tuple[int, int]], latest: int, span_s: int) -> tuple[int, int]:
    rows = [buckets[at] for at in _recent(buckets, latest, span_s)]
    return sum(total for total, _ in rows), sum(bad for _, bad in rows)


def _recent(buckets: dict[int, tuple[int, int]], latest: int, span_s: int) -> list[int]:
    return [at for at in buckets if latest - span_s // BUCKET_S < at <= latest]


def _fallen(budget: Budget, buckets: dict[int, tuple[int, int]], latest: int) -> bool:
    return all(_short_ratio(budget, window, buckets, latest) < FALLEN for window in budget.windows)


def _short_ratio(budget: Budget, window: BurnWindow, buckets: dict[int, tuple[int, int]], latest: int) -> float:
    total, bad = _counts(buckets, latest, window.short_s)
    return (bad / total if total else 0.0) / _share(budget, window)


def _share(budget: Budget, window: BurnWindow) -> float:
    """Of bad requests at which the window fires: a generous budget burns no faster than with all of them bad."""
    return min(1.0, budget.share * window.rate)


def _forget(budget: Budget, buckets: dict[int, tuple[int, int]], latest: int) -> None:
    span = max(window.long_s for window in budget.windows) // BUCKET_S
    for at in [at for at in buckets if at <= latest - span]:
        del buckets[at]
