"""Ejection: a replica that failed is asked last, for longer each time, until it answers. The gateway's own connections
show the failure. Attestations show as much, but seconds later, or not at all where the process that attests is gone;
every request would pay for it until then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_S = 30.0
DOUBLINGS = 60  # more than it takes from any pause to the longest
MOST_ELSEWHERE = 64
NEVER = float("-inf")
NO_REPLICA: frozenset[str] = frozenset()


@dataclass(slots=True)
class Failing:
    """One replica's failures in a row, and until when it is left alone. `elsewhere`: how many requests go to others
    before it is tried again, however long that takes. `trial`: a request that decides is on its way."""

    times: int
    until_s: float
    elsewhere: int = 0
    trial: bool = False


class Ejection:
    """The replicas that failed. `avoid_s`: for the first failure; 0 avoids none. `silent_s`: a replica that leaves
    requests without an answer and has answered no client for so long has failed, however little time each had."""

    def __init__(self, avoid_s: float, clock: Callable[[], float], silent_s: float = LONGEST_S) -> None:
        self._avoid_s, self._clock, self._silent_s = avoid_s, clock, silent_s
        self._failing: dict[str, Failing] = {}
        self._active: dict[str, float] = {}  # when the last part of an answer came
        self._silent: dict[str, float] = {}  # since when

    def failed(self, replica: str, *, silent: bool = False) -> None:
        """Note a failure. `silent`: it let a request's time run out. Each trial costs a client its answer then, and
        where few come a pause is over before the next: so only a share of them are trials, half as many after each."""
        times = self._failing[replica].times + 1 if replica in self._failing else 1
        pause_s = min(self._avoid_s * 2.0 ** min(times - 1, DOUBLINGS), LONGEST_S)
        elsewhere = min(2 ** min(times, DOUBLINGS), MOST_ELSEWHERE) if silent and self._avoid_s else 0
        self._failing[replica] = Failing(times, self._clock() + pause_s, elsewhere)

    def active(self, replica: str) -> None:
        """Note that a part of an answer has come, more than its head, to any request."""
        self._active[replica] = self._clock()

    def answered(self, replica: str) -> None:
        """Note a whole answer: the replica has not failed any more."""
        if self._failing:
            self._failing.pop(replica, None)

    def unanswered(self, replica: str, began_s: float) -> bool:
        """Note that a request which began then ended without its answer: its client had no more time. Return whether
        the replica has failed: one client's short time alone shows nothing about it."""
        now, active = self._clock(), self._active.get(replica, NEVER)
        since = self._silent.get(replica, NEVER)
        since = self._silent[replica] = since if since > active else max(began_s, active)
        if now - since >= self._silent_s:
            self.failed(replica, silent=True)
            return True
        self.undecided(replica)
        return False

    def undecided(self, replica: str) -> None:
        """Note that a trial decided nothing: the next request is one."""
        if replica in self._failing:
            self._failing[replica].trial = False

    def avoided(self) -> frozenset[str]:
        """Return the replicas to be asked last now."""
        if not self._failing:
            return NO_REPLICA
        now = self._clock()
        return frozenset(
            name
            for name, failing in self._failing.items()
            if failing.trial or failing.elsewhere > 0 or failing.until_s > now
        )

    def failing(self, replica: str) -> bool:
        """Return whether it failed last, and has not answered since."""
        return replica in self._failing

    def trying(self, replica: str) -> None:
        """Note that a request goes there. Where the replica failed last that is its trial: until it has decided, the
        other requests go elsewhere."""
        for name, failing in self._failing.items():
            if name == replica:
                failing.trial = True
            else:
                failing.elsewhere -= 1
