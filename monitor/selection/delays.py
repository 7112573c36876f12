"""How long after their replies labels come, as counts in bins that are 10 % wide.

>>> seen = Delays()
>>> for seconds in range(1, 101):
...     seen = added(seen, 1_000 * seconds)
>>> 90_000 <= quantile(seen, 0.9, most_ms=86_400_000) <= 99_000, quantile(Delays(), 0.9, most_ms=5_000)
(True, 5000)
"""

from __future__ import annotations

import math

import msgspec

WIDTH = math.log(1.1)
SEEN = 20  # labels that say how long they take
TIMES_SEEN = 4  # the age has passed so often, before it is believed: late labels are still to come


class Delays(msgspec.Struct, frozen=True):
    """Labels by the bin of their delay."""

    counts: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Return how many labels there were."""
        return sum(self.counts.values())


def added(delays: Delays, delay_ms: int) -> Delays:
    """Return them with one more label, which came so long after its reply."""
    place = math.ceil(math.log(max(1, delay_ms)) / WIDTH)
    return Delays(delays.counts | {place: delays.counts.get(place, 0) + 1})


def known_age(delays: Delays, share: float, elapsed_ms: int, most_ms: int) -> int:
    """Return the age by which such a share of the labels has come, once that is known: from `SEEN` labels, after a time
    in which late ones could be seen too. Until then, and at most, `most_ms`."""
    age = quantile(delays, share, most_ms)
    return age if delays.total >= SEEN and elapsed_ms >= TIMES_SEEN * age else most_ms


def quantile(delays: Delays, share: float, most_ms: int) -> int:
    """Return the age by which such a share of the labels had come, rounded up to its bin; at most `most_ms`, and that
    where there were none."""
    wanted, seen = share * delays.total, 0
    for place in sorted(delays.counts):
        seen += delays.counts[place]
        if seen >= wanted:
            return min(most_ms, math.ceil(math.exp(place * WIDTH)))
    return most_ms
