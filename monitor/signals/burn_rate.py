"""How fast does a budget burn? Of errors, and of slow replies: two signals, two rows of the table of signals.

Over a long and a short window at once, in event time: multi-window, multi-burn-rate alerts (Google SRE workbook,
chapter 5). The long window says it matters, the short one says it still goes on.

>>> count = 40
>>> rows = ScoreRows(offsets=list(range(count)), ids=[str(k) for k in range(count)], versions=[], arms=[], clients=[],
...     times_ms=[1_000 * k for k in range(count)], statuses=[200] * 20 + [503] * 20)
>>> _, (found,) = update(MonitorSettings(), About("errors", "v1"), State(), ServedRequests(rows))
>>> found.last_event, found.summary
('29', '10 of 30 requests to v1 failed in the last 3600 s: the budget burns 33 times too fast')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from monitor.detectors.episode import EndedAlarm, Over
from monitor.detectors.interface import Moment
from monitor.explain.alarm import alarm
from monitor.findings import Alarm, Json, Kind
from monitor.rows import ScoreRows
from monitor.settings import BurnWindow, MonitorSettings, Slo
from monitor.signals.interface import About, MissingTest, Rows, ServedRequests, Transition

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


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which there was no request."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take requests: all of them for the budget of errors, those answered for the budget of slow replies."""
    if not isinstance(rows, ServedRequests):
        return state, []
    moments, bad = _judged(settings.slo, about.kind, rows.rows)
    state, transitions = follow(budget(settings.slo, about.kind), state, bad, [time_ms for _, time_ms in moments])
    return state, [
        EndedAlarm("", moments[each.step]) if isinstance(each, Over) else _alarm(about, each, moments[each.step])
        for each in transitions
    ]


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the highest burn rate as a share of its threshold."""
    return burning(budget(settings.slo, about.kind), state)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state in which there was no request."""
    return State()


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return nothing: a budget needs no reference."""
    return {}


def budget(slo: Slo, kind: Kind) -> Budget:
    """Return the budget that was promised for errors, or for slow replies."""
    return Budget(slo.error_budget if kind == "errors" else slo.latency_budget, slo.burn_windows, slo.min_bad)


def failed(status: int) -> bool:
    """Check whether the server is to blame; a client that erred or hung up is not counted."""
    return status >= 500


def slow(slo: Slo, ttft_ms: float, tpot_ms: float, latency_ms: float) -> bool:
    """Check whether a reply broke a latency promise."""
    per_token = slo.tpot_ms is not None and tpot_ms > slo.tpot_ms
    return ttft_ms > slo.ttft_ms or latency_ms > slo.latency_ms or per_token


def follow(
    budget: Budget, state: State, bad: Sequence[bool], times_ms: Sequence[int]
) -> tuple[State, list[Burn | Over]]:
    """Take requests in order. Return each bad one that completes the evidence, once until the burn has fallen, and each
    one that finds it fallen: the windows forget by themselves, so nothing need be quiet for longer than they."""
    buckets, latest, firing = dict(state.buckets), state.latest, state.firing
    transitions: list[Burn | Over] = []
    for k, (failed, time_ms) in enumerate(zip(bad, times_ms, strict=True)):
        bucket = time_ms // (BUCKET_S * 1_000)
        newer, latest = bucket > latest, max(bucket, latest)
        if newer:
            _forget(budget, buckets, latest)
        total, lost = buckets.get(bucket, (0, 0))
        buckets[bucket] = (total + 1, lost + failed)
        if newer and firing and _fallen(budget, buckets, latest):
            firing = False
            transitions.append(Over(k))
        if failed and not firing:
            burn = _burn(budget, buckets, latest, k)
            firing = burn is not None
            transitions += [burn] if burn else []
    return State(buckets, latest, firing), transitions


def burning(budget: Budget, state: State) -> float:
    """Return the highest burn rate as a share of its threshold; 1 or more fires. 0 while too few are bad."""
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
    """Return the share of bad requests at which the window fires: a generous budget burns no faster than with all of
    them bad."""
    return min(1.0, budget.share * window.rate)


def _forget(budget: Budget, buckets: dict[int, tuple[int, int]], latest: int) -> None:
    span = max(window.long_s for window in budget.windows) // BUCKET_S
    for at in [at for at in buckets if at <= latest - span]:
        del buckets[at]


def _judged(slo: Slo, kind: Kind, rows: ScoreRows) -> tuple[list[Moment], list[bool]]:
    """Return the requests that a budget is for, and which of them are bad."""
    if kind == "errors":
        return list(zip(rows.ids, rows.times_ms, strict=True)), [failed(status) for status in rows.statuses]
    places = [i for i, status in enumerate(rows.statuses) if status == 200]
    late = [slow(slo, rows.ttft_ms[i], rows.tpot_ms[i], rows.latency_ms[i]) for i in places]
    return [(rows.ids[i], rows.times_ms[i]) for i in places], late


def _alarm(about: About, found: Burn, last: Moment) -> Alarm:
    """A budget is used up too fast."""
    what = "failed" if about.kind == "errors" else "were slower than promised"
    summary = (
        f"{found.bad} of {found.requests} requests to {about.version} {what} in the last "
        f"{found.long_s} s: the budget burns {found.burning:.0f} times too fast"
    )
    proof: dict[str, Json] = {
        "statistic": found.burning,
        "threshold": found.rate,
        "long_s": found.long_s,
        "short_s": found.short_s,
        "requests": found.requests,
        "bad": found.bad,
    }
    share = found.bad / found.requests
    return alarm(about.kind, about.version, ("", found.since_ms), last, proof, summary, harm=share)
