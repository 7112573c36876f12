"""How far behind the worker is, and whether it hangs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from streams import metrics

log = structlog.get_logger()


class Place(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Measured:
    """How a partition stands: `end` is the offset that comes next in the log, `done` the one that is handled next."""

    place: Place
    end: int
    done: int

    @property
    def lag(self) -> int:
        return max(0, self.end - self.done)


@dataclass(slots=True)
class Watchdog:
    """Knows since when each partition has stood still.

    >>> dog, place = Watchdog(stalled_s=30), Place("inference.events", 0)
    >>> [bool(dog.look([Measured(place, 10, done)], now)) for done, now in [(0, 0), (0, 29), (0, 31), (5, 32), (5, 61)]]
    [False, False, True, False, False]
    """

    stalled_s: float
    since: dict[Place, tuple[int, float]] = field(default_factory=dict)
    told: set[Place] = field(default_factory=set)  # whose lag is in the metrics

    def look(self, measured: Iterable[Measured], now_s: float) -> list[Measured]:
        """The partitions that have events waiting and have handled none for `stalled_s`."""
        stalled, since = [], {}
        for each in measured:
            done, moved_s = self.since.get(each.place, (-1, now_s))
            since[each.place] = (each.done, moved_s if done == each.done and each.lag else now_s)
            if now_s - since[each.place][1] >= self.stalled_s:
                stalled.append(each)
        self.since = since
        return stalled

    def tell(self, measured: Sequence[Measured], stalled: Sequence[Measured]) -> None:
        """To Prometheus, and to the log where something hangs. Partitions that others hold by now are theirs to tell
        of."""
        places = {each.place for each in measured}
        for gone in self.told - places:
            metrics.LAG.remove(gone.topic, str(gone.partition))
        for each in measured:
            metrics.LAG.labels(each.place.topic, str(each.place.partition)).set(each.lag)
        for topic in {place.topic for place in self.told | places}:
            metrics.STALLED.labels(topic).set(sum(each.place.topic == topic for each in stalled))
        for each in stalled:
            log.error("stalled", topic=each.place.topic, partition=each.place.partition, lag=each.lag, next=each.done)
        self.told = places
