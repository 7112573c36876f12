"""Who may ask now: a bound on all requests under way, and bounds of each key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from serving.gateway.errors import busy
from serving.gateway.keys import Key


@dataclass(slots=True)
class Bucket:
    """Permits that a key has left; they come back evenly, a minute's worth at most."""

    permits: float
    at_s: float


class Admission:
    """Counts of this process: beside `n` gateways a key has `n` times its bounds."""

    def __init__(self, max_in_flight: int, clock: Callable[[], float]) -> None:
        """`clock`: in seconds, only goes forward."""
        self._max, self._clock = max_in_flight, clock
        self._all = 0
        self._mine: Counter[str] = Counter()
        self._buckets: dict[str, Bucket] = {}

    @property
    def in_flight(self) -> int:
        return self._all

    def enter(self, key: Key) -> Callable[[], None]:
        """Returns what is to be called once the request is over. Raises ApiError 429 with Retry-After."""
        if self._all >= self._max:
            raise busy(f"{self._all} requests are under way, expected less than {self._max}", "overloaded", 1.0)
        if key.max_in_flight is not None and self._mine[key.id] >= key.max_in_flight:
            found = f"the API key {key.id} has {key.max_in_flight} requests under way, as many as it may"
            raise busy(found, "too_many_in_flight", 1.0)
        if key.requests_per_minute is not None:
            self._spend(key, key.requests_per_minute)
        self._all += 1
        self._mine[key.id] += 1
        return lambda: self._leave(key.id)

    def _leave(self, key_id: str) -> None:
        self._all -= 1
        self._mine[key_id] -= 1

    def _spend(self, key: Key, rate: int) -> None:
        now = self._clock()
        bucket = self._buckets.setdefault(key.id, Bucket(rate, now))
        bucket.permits = min(rate, bucket.permits + (now - bucket.at_s) * rate / 60)
        bucket.at_s = now
        if bucket.permits < 1:
            found = f"the API key {key.id} may ask {rate} times a minute"
            raise busy(found, "rate_limited", (1 - bucket.permits) * 60 / rate)
        bucket.permits -= 1
