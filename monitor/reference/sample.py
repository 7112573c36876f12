"""Which events become the reference: the first ones, or some of a longer time.

A reference of 2,000 events may span an hour, and knows nothing of the night. Asked to span days, it keeps whole
stretches of neighbouring events (how neighbours depend on each other is learnt from them), and every time it holds
twice what is wanted it forgets half of the stretches. Which, is fixed by their number: the same however the events are
cut into batches, and scattered so that no hour of the day is favoured. Never more than twice the wanted is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from monitor.describe.fingerprint import uniforms

STRETCH = 40  # events: short ones see more hours, and long ones longer blocks (at most half of it)


class ReferenceSample(msgspec.Struct, frozen=True):
    """What was offered, and what of it is kept: places among all offered events, rising, and event times."""

    offered: int = 0
    halvings: int = 0
    first_ms: int = 0
    last_ms: int = 0  # the latest; events may come out of order
    places: list[int] = []
    times_ms: list[int] = []


@dataclass(frozen=True, slots=True)
class Gathered:
    """A sample that grew. `kept`: indices of the rows it has, into those it had followed by those offered. `taken`: how
    many were looked at; the others came after it was complete."""

    sample: ReferenceSample
    kept: list[int]
    taken: int
    complete: bool


def gather(sample: ReferenceSample, times_ms: Sequence[int], *, wanted: int, span_ms: int = 0) -> Gathered:
    """Offer events in order until the sample is complete: `wanted` or more that span at least `span_ms`.

    >>> done = gather(ReferenceSample(), range(0, 1_000, 100), wanted=4)
    >>> done.kept, done.taken, done.complete
    ([0, 1, 2, 3], 4, True)
    """
    growing = _Growing(sample)
    taken = 0
    while taken < len(times_ms) and not growing.complete(wanted, span_ms):
        growing.offer(times_ms[taken], len(sample.places) + taken)
        if len(growing.places) >= 2 * wanted:
            growing.halve()
        taken += 1
    return Gathered(growing.sample(), growing.kept, taken, growing.complete(wanted, span_ms))


class _Growing:
    """A sample while one call works on it."""

    def __init__(self, sample: ReferenceSample) -> None:
        self.offered, self.halvings = sample.offered, sample.halvings
        self.first_ms, self.last_ms = sample.first_ms, sample.last_ms
        self.places, self.times_ms = list(sample.places), list(sample.times_ms)
        self.kept = list(range(len(sample.places)))

    def complete(self, wanted: int, span_ms: int) -> bool:
        return len(self.places) >= wanted and self.last_ms - self.first_ms >= span_ms

    def offer(self, time_ms: int, index: int) -> None:
        self.first_ms = min(self.first_ms, time_ms) if self.offered else time_ms
        self.last_ms = max(self.last_ms, time_ms) if self.offered else time_ms
        if _stays(self.offered, self.halvings):
            self.places.append(self.offered)
            self.times_ms.append(time_ms)
            self.kept.append(index)
        self.offered += 1

    def halve(self) -> None:
        self.halvings += 1
        stay = [i for i, place in enumerate(self.places) if _stays(place, self.halvings)]
        self.places = [self.places[i] for i in stay]
        self.times_ms = [self.times_ms[i] for i in stay]
        self.kept = [self.kept[i] for i in stay]

    def sample(self) -> ReferenceSample:
        return ReferenceSample(self.offered, self.halvings, self.first_ms, self.last_ms, self.places, self.times_ms)


def _stays(place: int, halvings: int) -> bool:
    """Check whether the stretch of this place is among the one in 2^halvings that is kept."""
    return halvings == 0 or _draw(place // STRETCH) < 0.5**halvings


@lru_cache(maxsize=4096)
def _draw(stretch: int) -> float:
    return float(uniforms([stretch], 1)[0, 0])
