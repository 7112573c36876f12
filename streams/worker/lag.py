"""How far behind the worker is, and whether it hangs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from streams import metrics

log = structlog.get_logger()


class TopicPartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """`end` is the offset that comes next in the log, `done` the one that is handled next."""

    place: TopicPartition
    end: int
    done: int

    @property
    def lag(self) -> int:
        """Return how many records wait."""
        return max(0, self.end - self.done)


@dataclass(slots=True)
class Watchdog:
    """Knows since when each partition has stood still.

    >>> dog, place = Watchdog(stalled_s=30), TopicPartition("inference.events", 0)
    >>> looks = [(0, 0), (0, 29), (0, 31), (5, 32), (5, 61)]
    >>> [bool(dog.look([PartitionLag(place, 10, done)], now_s)) for done, now_s in looks]
    [False, False, True, False, False]
    """

    stalled_s: float
    since: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)
    shown: set[TopicPartition] = field(default_factory=set)  # whose lag is in the metrics

    def look(self, lags: Iterable[PartitionLag], now_s: float) -> list[PartitionLag]:
        """Return the partitions that have events waiting and have handled none for `stalled_s`."""
        stalled, since = [], {}
        for each in lags:
            done, moved_s = self.since.get(each.place, (-1, now_s))
            since[each.place] = (each.done, moved_s if done == each.done and each.lag else now_s)
            if now_s - since[each.place][1] >= self.stalled_s:
                stalled.append(each)
        self.since = since
        return stalled

    def show(self, lags: Sequence[PartitionLag], stalled: Sequence[PartitionLag]) -> None:
        """Show the lags in the metrics, and log the partitions that hang. Partitions that another worker holds by now
        are dropped: that one shows them."""
        places = {each.place for each in lags}
        for gone in self.shown - places:
            metrics.LAG.remove(gone.topic, str(gone.partition))
        for each in lags:
            metrics.LAG.labels(each.place.topic, str(each.place.partition)).set(each.lag)
        for topic in {place.topic for place in self.shown | places}:
            metrics.STALLED.labels(topic).set(sum(each.place.topic == topic for each in stalled))
        for each in stalled:
            log.error("stalled", topic=each.place.topic, partition=each.place.partition, lag=each.lag, next=each.done)
        self.shown = places
