"""What a gateway's own connections show of the replicas: those that failed lately are asked last, for longer each time,
until one of their answers comes. Attestations say as much, but seconds later, or not at all where whoever attests is
gone; until then no client should pay for each request anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_S = 30.0
DOUBLINGS = 60  # more than it takes from any pause to the longest
MOST_ELSEWHERE = 64
NEVER = float("-inf")
NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Failing:
    """How often in a row, and until when it is left alone. `elsewhere`: how many requests go to others before it is
    tried again, however long that takes. `trial`: a request is on its way that will tell."""

    times: int
    until_s: float
    elsewhere: int = 0
    trial: bool = False


class Ejection:
    """`avoid_s`: for the first failure; 0 avoids nobody. `silent_s`: a replica that leaves requests without an answer
    and has given none to anybody for so long has failed, however little time each of its clients had."""

    def __init__(self, avoid_s: float, clock: Callable[[], float], silent_s: float = LONGEST_S) -> None:
        self._avoid_s, self._clock, self._silent_s = avoid_s, clock, silent_s
        self._failing: dict[str, Failing] = {}
        self._heard: dict[str, float] = {}
        self._silent: dict[str, float] = {}  # since when

    def failed(self, replica: str, *, silent: bool = False) -> None:
        """`silent`: it let a request's time run out. Each trial costs a client its answer then, and where few come a
        pause is over before the next: so only a share of them are trials, half as many after each."""
        times = self._failing[replica].times + 1 if replica in self._failing else 1
        pause_s = min(self._avoid_s * 2.0 ** min(times - 1, DOUBLINGS), LONGEST_S)
        elsewhere = min(2 ** min(times, DOUBLINGS), MOST_ELSEWHERE) if silent and self._avoid_s else 0
        self._failing[replica] = Failing(times, self._clock() + pause_s, elsewhere)

    def heard(self, replica: str) -> None:
        """Something of an answer has come, more than its head, to whatever request."""
        self._heard[replica] = self._clock()

    def answered(self, replica: str) -> None:
        if self._failing:
            self._failing.pop(replica, None)

    def unheard(self, replica: str, began_s: float) -> bool:
        """A request that began then ended without its answer: its client had no more time. Return whether the replica
        has failed: one client's short time alone says nothing about it."""
        now, heard = self._clock(), self._heard.get(replica, NEVER)
        since = self._silent.get(replica, NEVER)
        since = self._silent[replica] = since if since > heard else max(began_s, heard)
        if now - since >= self._silent_s:
            self.failed(replica, silent=True)
            return True
        self.undecided(replica)
        return False

    def undecided(self, replica: str) -> None:
        """A trial told nothing: the next request is one."""
        if replica in self._failing:
            self._failing[replica].trial = False

    def avoided(self) -> frozenset[str]:
        """Who should be asked last now."""
        if not self._failing:
            return NOBODY
        now = self._clock()
        return frozenset(
            name
            for name, failing in self._failing.items()
            if failing.trial or failing.elsewhere > 0 or failing.until_s > now
        )

    def failing(self, replica: str) -> bool:
        """Whether it failed last, and has not answered since."""
        return replica in self._failing

    def trying(self, replica: str) -> None:
        """A request goes there. Where it failed last that is its trial: until it has shown something the others go
        elsewhere."""
        for name, failing in self._failing.items():
            if name == replica:
                failing.trial = True
            else:
                failing.elsewhere -= 1
