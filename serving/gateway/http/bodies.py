"""Bytes of requests' bodies that are held at once: a budget for each key and one for all."""

from __future__ import annotations

from collections import Counter

from serving.gateway.access.keys import Key
from serving.gateway.errors import busy
from serving.gateway.http.limits import Limits


class BodyBudget:
    """The bytes held, by key. A length that is announced is taken at once, so that no request is refused halfway."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: Counter[str] = Counter()
        self._all = 0

    def take(self, key: Key, size: int) -> None:
        """Count so many bytes more for the key. Raise ApiError 429 where they are too many, and count nothing."""
        if self._held[key.id] + size > self._limits.bodies_bytes_per_key:
            most = self._limits.bodies_bytes_per_key
            raise busy(
                f"requests of the API key {key.id} hold {most} bytes, as many as they may", "too_many_bytes", 1.0
            )
        if self._all + size > self._limits.bodies_bytes:
            raise busy(f"requests hold {self._limits.bodies_bytes} bytes, as many as may be", "overloaded", 1.0)
        self._all += size
        self._held[key.id] += size

    def give_back(self, key: Key, size: int) -> None:
        """Count so many bytes less."""
        self._all -= size
        self._held[key.id] -= size


class BodyShare:
    """One request's part of the budget, until `release`."""

    __slots__ = ("_budget", "_key", "held")

    def __init__(self, budget: BodyBudget, key: Key) -> None:
        self._budget, self._key = budget, key
        self.held = 0

    def hold(self, size: int) -> None:
        """Ensure that the share has so many bytes in all. Raise ApiError 429 where they are too many."""
        if size > self.held:
            self._budget.take(self._key, size - self.held)
            self.held = size

    def release(self) -> None:
        """Give everything back."""
        self._budget.give_back(self._key, self.held)
        self.held = 0
