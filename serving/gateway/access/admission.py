"""Admission: a bound on all requests under way, and bounds of each key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError, busy


@dataclass(slots=True)
class Bucket:
    """The permits that a key has left; they come back evenly, a minute's worth at most."""

    permits: float
    at_s: float

    def fill(self, per_minute: float, now_s: float) -> None:
        """Add the permits that have come back since."""
        self.permits = min(per_minute, self.permits + (now_s - self.at_s) * per_minute / 60)
        self.at_s = now_s


@dataclass(frozen=True, slots=True)
class Volume:
    """The feedback that each key may send to this process: pieces and bytes of a minute at will, then evenly."""

    per_minute: int
    bytes_per_minute: int
    clock: Callable[[], float]
    _left: dict[str, tuple[Bucket, Bucket]] = field(default_factory=dict)

    def spend(self, key: Key, size: int) -> None:
        """Take one piece of so many bytes. Raise ApiError 429 with Retry-After, and take nothing."""
        now, many, much = self.clock(), self.per_minute, self.bytes_per_minute
        pieces, volume = self._left.setdefault(key.id, (Bucket(many, now), Bucket(much, now)))
        pieces.fill(many, now)
        volume.fill(much, now)
        size = min(size, much)
        wait = max((1 - pieces.permits) * 60 / many, (size - volume.permits) * 60 / much)
        if wait > 0:
            found = f"the API key {key.id} may give feedback {many} times and with {much} bytes a minute"
            raise busy(found, "rate_limited", wait)
        pieces.permits -= 1
        volume.permits -= size


class Admission:
    """The counts of this process: at `n` gateways a key has `n` times its bounds."""

    def __init__(self, max_in_flight: int, clock: Callable[[], float], max_answers_per_key: int) -> None:
        """`clock`: in seconds, only goes forward."""
        self._max, self._clock, self._max_answers = max_in_flight, clock, max_answers_per_key
        self._all = 0
        self._mine: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._buckets: dict[str, Bucket] = {}

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way."""
        return self._all

    def enter(self, key: Key) -> Callable[[], None]:
        """Admit a request and return the function to call once it is over. Raise ApiError 429 with Retry-After."""
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

    def begin(self, key: Key, answers: int) -> Callable[[], None]:
        """Count so many answers as under way for the key, and return the function to call once they are over. Raise
        ApiError: 429 with Retry-After where they are too many together, 400 where they are by themselves."""
        most, mine = key.max_answers or self._max_answers, self._answers[key.id]
        if answers > most:
            message = f"{answers} answers, and the API key {key.id} may have {most} under way"
            raise ApiError(400, message, code="too_much")
        if mine + answers > most:
            found = f"the API key {key.id} has {mine} answers under way and asks for {answers}, expected {most} at most"
            raise busy(found, "too_many_answers", 1.0)
        self._answers[key.id] += answers
        return lambda: self._over(key.id, answers)

    def _over(self, key_id: str, answers: int) -> None:
        self._answers[key_id] -= answers

    def _leave(self, key_id: str) -> None:
        self._all -= 1
        self._mine[key_id] -= 1

    def _spend(self, key: Key, rate: int) -> None:
        now = self._clock()
        bucket = self._buckets.setdefault(key.id, Bucket(rate, now))
        bucket.fill(rate, now)
        if bucket.permits < 1:
            found = f"the API key {key.id} may ask {rate} times a minute"
            raise busy(found, "rate_limited", (1 - bucket.permits) * 60 / rate)
        bucket.permits -= 1
