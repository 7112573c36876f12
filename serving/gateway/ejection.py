"""Replicas that failed lately: they are asked last, for longer each time, until one of their answers comes.

Attestations say as much, but seconds later; until then no client should pay for each request anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_S = 30.0
DOUBLINGS = 60  # more than it takes from any pause to the longest
NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Failing:
    """How often in a row, and until when it is left alone."""

    times: int
    until_s: float


class Ejection:
    """`avoid_s`: for the first failure; 0 avoids nobody."""

    def __init__(self, avoid_s: float, clock: Callable[[], float]) -> None:
        self._avoid_s, self._clock = avoid_s, clock
        self._failing: dict[str, Failing] = {}

    def failed(self, replica: str) -> None:
        times = self._failing[replica].times + 1 if replica in self._failing else 1
        pause_s = min(self._avoid_s * 2.0 ** min(times - 1, DOUBLINGS), LONGEST_S)
        self._failing[replica] = Failing(times, self._clock() + pause_s)

    def answered(self, replica: str) -> None:
        if self._failing:
            self._failing.pop(replica, None)

    def avoided(self) -> frozenset[str]:
        """Who should be asked last now."""
        if not self._failing:
            return NOBODY
        now = self._clock()
        return frozenset(replica for replica, failing in self._failing.items() if failing.until_s > now)

    def trying(self, replica: str) -> None:
        """A request is its trial: until it has shown something the others go elsewhere."""
        if self._failing and replica in self._failing:
            failing = self._failing[replica]
            failing.until_s = max(failing.until_s, self._clock() + self._avoid_s)
