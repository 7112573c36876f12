"""One false-alarm budget for an on-call: at most one false page in so many days, shared out over detectors.

A detector whose statistic has mean at most its number of steps fires where that reaches `arl`. Of several of them,
whatever they watch and however they depend on each other, the sum of statistic over `arl` has mean at most days times
the sum of steps a day over `arl`; and it is at least one when the first of them fires. So the mean time to the first
false page is at least one over that sum: shares of one budget add up, and no independence is needed.

Pages for burnt error and latency budgets are not in it: they report something that happened, and are never false in
this sense."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitor.detectors.blocks import length_for
from monitor.detectors.location_spread import ALTERNATIVES, SHIFTS, dead_zone
from monitor.detectors.risk import EXCESSES, stake
from monitor.validation import require

SHARES: Mapping[str, float] = {
    "quality": 0.35,
    "estimated_quality": 0.1,
    "judged_quality": 0.05,
    "drift": 0.3,
    "safety": 0.1,
    "fairness": 0.1,
}
BY_LABELS = frozenset({"quality"})  # a step is a label; of fairness a pair, of the others an event


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasTraffic:
    """What comes to every alias in a day. `labels`: with the thumbs and scores of fair sources. `tags`: how many of
    tenant, language and group clients name; `judged`: replies that a judge model is asked about."""

    events: float
    labels: float
    judged: float = 0.0
    aliases: int = 1
    tags: int = 0

    def __post_init__(self) -> None:
        for name in ("events", "labels", "judged"):
            require(self, name, 0 <= getattr(self, name) < math.inf, "0 or more a day")
        for name, least in (("aliases", 1), ("tags", 0)):
            require(self, name, getattr(self, name) >= least, f"at least {least}")

    def steps(self, kind: str) -> float:
        """Return the steps of a day of one alias. Pairs of groups: of each tag at most one for an outcome, and an event
        has two outcomes (refused or not, slow or not), a label one."""
        if kind == "fairness":
            return self.tags * (2.0 * self.events + self.labels)
        if kind == "judged_quality":
            return self.judged
        return self.labels if kind in BY_LABELS else self.events


@dataclass(frozen=True, slots=True)
class BudgetPart:
    """One detector's part of the budget, for every alias alike."""

    kind: str
    share: float  # of all false pages, over all aliases
    steps: float  # a day, of one alias
    arl: float  # steps between its false alarms, at least


def split(days: float, traffic: AliasTraffic, shares: Mapping[str, float] = SHARES) -> list[BudgetPart]:
    """Return what each detector must ask for, so that `days` pass between false pages, at least.

    >>> parts = split(30, AliasTraffic(events=10_000, labels=100, aliases=3))
    >>> [(part.kind, round(part.arl)) for part in parts if part.steps]
    [('quality', 25714), ('estimated_quality', 9000000), ('drift', 3000000), ('safety', 9000000)]
    >>> traffic = AliasTraffic(events=10_000, labels=100, aliases=3)
    >>> round(days_between(parts, traffic=traffic), 1)  # fairness and judges are left over
    35.3
    """
    if not 0 < days < math.inf:
        raise ValueError(f"days is {days}, expected a positive number of days between false pages")
    total = math.fsum(shares.values())
    if min(shares.values(), default=0.0) <= 0 or not math.isclose(total, 1.0):
        raise ValueError(f"shares are {dict(shares)}, expected positive ones that add up to 1")
    return [
        BudgetPart(kind, share, traffic.steps(kind), days * traffic.steps(kind) * traffic.aliases / share)
        for kind, share in shares.items()
    ]


def days_between(parts: Iterable[BudgetPart], *, traffic: AliasTraffic) -> float:
    """Return days between false pages, at least, of everything together."""
    rate = math.fsum(part.steps * traffic.aliases / part.arl for part in parts if part.steps)
    return 1.0 / rate if rate else math.inf


def smallest_shift(arl: float, steps: float, *, descriptors: int, dead_zone: float) -> float | None:
    """Return, in sigmas of one descriptor's scores: what is found within so many steps on average; None where nothing
    is.

    One bet must carry all the others' threshold: a little pessimistic, since they help (measured by
    `make bench-monitor`).

    >>> round(smallest_shift(10_000, 25, descriptors=1, dead_zone=0.022), 1)
    1.0
    """
    target = arl * descriptors * len(ALTERNATIVES)
    sizes = sorted({abs(shift) for shift in SHIFTS})

    def delay(shift: float) -> float:
        growths = [size * shift - size * size / 2.0 - size * dead_zone for size in sizes]
        return min((_delay(target, growth) for growth in growths), default=math.inf)

    return _least(delay, steps, 0.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """What the events of an alias are like, for the drift detector. `reference`: events that define normal.
    `autocorrelation`: of neighbouring events. `waves`: of the rhythm of day and week that the reference shows.
    `share`: of all bets' weight, the descriptors' (`monitor.signals.drift`)."""

    descriptors: int
    reference: int
    autocorrelation: float = 0.0
    waves: int = 0
    share: float = 1.0

    def __post_init__(self) -> None:
        require(self, "share", 0.0 < self.share <= 1.0, "above 0, at most 1")
        for name, least in (("descriptors", 1), ("reference", 1), ("waves", 0)):
            require(self, name, getattr(self, name) >= least, f"at least {least}")


def smallest_drift(arl_events: float, events: float, stream: EventStream) -> float | None:
    """Return the shift of one descriptor, in sigmas of an event, that is found within so many events on average; None
    where none is. Blocks and a rhythm cost what they cost: their averages, and a reference that counts for less.

    >>> calm = EventStream(descriptors=15, reference=2_000)
    >>> dependent = EventStream(descriptors=15, reference=2_000, waves=2)
    >>> [round(smallest_drift(10_000, 200, each) or 0.0, 2) for each in (calm, dependent)]
    [0.37, 0.43]
    """
    block, sigma = length_for(stream.autocorrelation, stream.reference)
    size = stream.reference / block / (1 + 2 * stream.waves)
    arl = max(1.0, arl_events / block)
    zone = dead_zone(arl, size, stream.descriptors)
    shift = smallest_shift(arl / stream.share, events / block, descriptors=stream.descriptors, dead_zone=zone)
    return None if shift is None else shift * sigma


def smallest_rate(arl: float, limit: float, labels: float, excesses: Sequence[float] = EXCESSES) -> float | None:
    """Return the error rate above `limit` that is found within so many labels on average; None where none is.
    `excesses`: what the detector bets on.

    >>> round(smallest_rate(10_000, 0.1, 30), 1)
    0.4
    """
    return _least(lambda rate: delay(arl, limit, rate, excesses), labels, limit, 1.0)


def delay(arl: float, limit: float, rate: float, excesses: Sequence[float] = EXCESSES) -> float:
    """Return after how many labels on average a rate above `limit` is found; infinity where it is not.

    >>> round(delay(10_000, 0.1, 0.4)), delay(10_000, 0.1, 0.1)
    (32, inf)
    """
    stakes = [stake(limit, excess) for excess in excesses]
    growths = [rate * math.log1p(each * (1.0 - limit)) + (1.0 - rate) * math.log1p(-each * limit) for each in stakes]
    return min(_delay(arl * len(excesses), growth) for growth in growths)


def _delay(target: float, growth: float) -> float:
    """Return the steps until a statistic that grows so much a step, and gains one a step, is at the target."""
    if growth <= 0.0:
        return math.inf
    return max(1.0, math.log(max(math.e, target * -math.expm1(-growth))) / growth)


def _least(delay: Callable[[float], float], steps: float, low: float, high: float) -> float | None:
    """Return the least change whose delay is within the steps, by bisection: a larger one is found sooner."""
    if delay(high) > steps:
        return None
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (low, middle) if delay(middle) <= steps else (middle, high)
    return high
