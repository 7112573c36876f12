"""Is one better than the other? Bets on paired differences; look as often as you like, stop when you like.

The wealth of a bettor against `mean <= m` is `prod(1 + stake * (difference - m))`; its mean is at most one while that
holds, so by Ville's inequality it ever reaches `1 / alpha` with probability at most `alpha` (Waudby-Smith and Ramdas
2024, "Estimating means of bounded random variables by betting"). Several stakes are mixed, because the right one is
not known. The wealth depends on how often each difference came, not on the order: that is all the state there is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

STAKES = (0.06, 0.12, 0.22, 0.38, 0.6, 0.9)  # of the most that can be bet without ruin
BISECTIONS = 15  # of [-1, 1], for a bound to 1e-4
WAITING = 1_000  # canary outcomes that wait for a champion's, at most


class Paired(msgspec.Struct, frozen=True):
    """Differences in [-1, 1], to 4 decimals, with the running confidence sequence."""

    alpha: float = 0.05
    count: int = 0
    times: dict[str, int] = {}  # how often each difference came
    lower: float = -1.0
    upper: float = 1.0


def start(alpha: float = 0.05) -> Paired:
    """Return the state in which nothing was seen. `alpha` is the chance that the confidence sequence ever misses the
    mean."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha!r}, expected a share between 0 and 1")
    return Paired(alpha)


def update(state: Paired, differences: Iterable[float]) -> Paired:
    """Take differences in [-1, 1]; raise ValueError for any other number.

    >>> done = update(start(), [1.0] * 12)
    >>> e_value(done) > 20, interval(done)[0] > 0
    (True, True)
    """
    fresh = Counter(_key(difference) for difference in differences)
    if not fresh:
        return state
    times = dict(Counter(state.times) + fresh)
    count = state.count + fresh.total()
    lower = _lower(times, state.alpha / 2, state.lower)
    upper = -_lower({_key(-float(key)): n for key, n in times.items()}, state.alpha / 2, -state.upper)
    return Paired(state.alpha, count, times, lower, upper)


def counted(differences: Iterable[float]) -> Paired:
    """Do as `update(start(), differences)` for those who ask for e-values only: the interval takes most of the time.

    >>> e_value(counted([1.0, 0.5])) == e_value(update(start(), [1.0, 0.5]))
    True
    """
    times = Counter(_key(difference) for difference in differences)
    return Paired(count=times.total(), times=dict(times))


def tallied(times: Mapping[float, int]) -> Paired:
    """Do as `counted` for differences that are counted already.

    >>> tallied({1.0: 2, 0.00001: 1, 0.0: 3}) == counted([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    True
    """
    found: Counter[str] = Counter()
    for difference, number in times.items():
        found[_key(difference)] += number
    return Paired(count=found.total(), times=dict(found))


def e_value(state: Paired, margin: float = 0.0) -> float:
    """Return evidence against `mean difference <= margin`; at least `1 / alpha` proves the opposite at level `alpha`.

    Superiority by `gain`: `e_value(state, gain)`. Not worse by more than `margin`: `e_value(state, -margin)`.
    Capped at 1e300; 1 where nothing was seen."""
    if not -1 < margin < 1:
        raise ValueError(f"margin is {margin!r}, expected a number between -1 and 1")
    return math.exp(min(_log_wealth(state.times, margin), 690.0))


def e_value_against(state: Paired, margin: float = 0.0) -> float:
    """Return the mirror image: evidence against `mean difference >= margin`."""
    return e_value(mirrored(state), -margin)


def mirrored(state: Paired) -> Paired:
    """Return the same comparison seen from the other side."""
    times = {_key(-float(key)): n for key, n in state.times.items()}
    return Paired(state.alpha, state.count, times, -state.upper, -state.lower)


def mean(state: Paired) -> float:
    """Return the mean difference so far; 0 where nothing was seen."""
    return math.fsum(float(key) * n for key, n in state.times.items()) / max(state.count, 1)


def interval(state: Paired) -> tuple[float, float]:
    """Return the interval that holds the true mean at all times at once with probability `1 - alpha`; the intersection
    over all updates."""
    return state.lower, state.upper


def bounds(times: Mapping[str, int], alpha: float) -> tuple[float, float]:
    """Return the confidence sequence of differences that came so often, as it stands now: it holds their mean at all
    times at once with probability `1 - alpha`."""
    seen = dict(times)
    return _lower(seen, alpha / 2), -_lower({_key(-float(key)): n for key, n in seen.items()}, alpha / 2)


class Arms(msgspec.Struct, frozen=True):
    """Two streams of outcomes in [0, 1] (1 is bad), compared in the order they came.

    Each canary outcome is set against the mean of the champion's since the one before: the difference of the means
    is the difference of the rates, whatever share of the traffic the canary gets."""

    paired: Paired = Paired()
    waiting: tuple[float, ...] = ()  # canary outcomes without a champion's yet
    champion_sum: float = 0.0  # of the champion's outcomes not yet used
    champion_count: int = 0


def start_arms(alpha: float = 0.05) -> Arms:
    """Return the state in which nothing was seen of either."""
    return Arms(paired=start(alpha))


def update_arms(state: Arms, outcomes: Sequence[tuple[bool, float]]) -> Arms:
    """Take `(is canary, outcome)` in the order of arrival."""
    differences: list[float] = []
    waiting, total, count = list(state.waiting), state.champion_sum, state.champion_count
    for canary, outcome in outcomes:
        if canary and count:
            differences.append(outcome - total / count)
            total, count = 0.0, 0
        elif canary:
            waiting = [*waiting, outcome][-WAITING:]
        elif waiting:
            differences.append(waiting.pop(0) - outcome)
        else:
            total, count = total + outcome, count + 1
    return Arms(update(state.paired, differences), tuple(waiting), total, count)


def e_worse(state: Arms, delta: float = 0.0) -> float:
    """Return evidence that the canary's rate of bad outcomes is above the champion's by more than `delta`."""
    return e_value(state.paired, delta)


def _key(difference: float) -> str:
    if not -1.0 <= difference <= 1.0:
        raise ValueError(f"difference is {difference!r}, expected a number from -1 to 1")
    return f"{round(difference, 4) + 0.0:g}"


def _log_wealth(times: dict[str, int], margin: float) -> float:
    """Log of the mean wealth over the stakes."""
    if not times:
        return 0.0
    values = np.array([float(key) for key in times])
    gains = np.log1p(np.outer(_STAKES, values - margin) / (1.0 + margin))
    logs = gains @ np.array(list(times.values()), dtype=np.float64)
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))


def _lower(times: dict[str, int], alpha: float, before: float = -1.0) -> float:
    """Return the largest margin that bisection looks at with `mean <= margin` still refuted at `alpha`; `before`, which
    was refuted earlier, where there is none above it.

    The wealth falls as the margin grows. So one look at the margin after `before` shows that there is none, as is so
    after most updates."""
    enough, low, high = -math.log(alpha), -1.0, 1.0
    if _log_wealth(times, before + (high - low) / 2**BISECTIONS) < enough:
        return before
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        refuted = middle <= before or _log_wealth(times, middle) >= enough
        low, high = (middle, high) if refuted else (low, middle)
    return max(before, low)


_STAKES: NDArray[np.float64] = np.array(STAKES)
