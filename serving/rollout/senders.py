"""The people behind the outcomes of one rollout: which outcome of a conversation or an end user is this one?

Memory of one process, bounded. It is made again from the scores since the rollout's state began; what decides goes into
the observation, and so into the ledger.

>>> senders = Senders()
>>> [senders.reply(id, unit=7, person=7) for id in ("a", "b")], senders.reply("c", unit=0, person=0)
([1, 2], 1)
>>> senders.label("a", "app", 60_000), senders.label("b", "app", 60_000), senders.label("b", "app", 61_000)
(1, None, 2)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from monitor.describe.people import UNKNOWN, witness
from monitor.rows import TURN_MS

KEPT = 100_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """What was put in last: the oldest give way."""

    def put(self, key: K, value: V) -> None:
        """Keep the value as the newest."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > KEPT:
            self.popitem(last=False)


class Senders:
    """Who was behind each reply, and how many outcomes there were of each."""

    def __init__(self) -> None:
        self._replies: Recent[str, tuple[int, int]] = Recent()  # by id: for whom the arm was drawn, and who asked
        self._counts: Recent[tuple[str, int], int] = Recent()
        self._labelled: Recent[Hashable, None] = Recent()  # replies, and who asked for them in which turn

    def restart(self) -> None:
        """Count from 1 again; who was behind a reply stays known, for labels to come."""
        self._counts.clear()
        self._labelled.clear()

    def reply(self, event_id: str, unit: int, person: int) -> int:
        """Return which reply of its unit it is, from 1 on. `unit`: for whom the arm was drawn; 0: for this reply alone.
        `person`: who asked."""
        self._replies.put(event_id, (unit, person))
        return self._nth("reply", unit)

    def label(self, event_id: str, key: str, given_ms: int) -> int | None:
        """Return which labelled reply of its unit it is. None where the label says nothing of its own: a reply's first
        counts, and of a person's replies that are labelled in one turn the first. Where the reply is not known, all
        that a key labels in a minute is of one."""
        unit, person = self._replies.get(event_id, (witness(key, given_ms), UNKNOWN))
        turn = person, given_ms // TURN_MS
        if event_id in self._labelled or (person != UNKNOWN and turn in self._labelled):
            return None
        self._labelled.put(event_id, None)
        self._labelled.put(turn, None)
        return self._nth("label", unit)

    def _nth(self, kind: str, unit: int) -> int:
        if unit == UNKNOWN:
            return 1
        count = self._counts.get((kind, unit), 0) + 1
        self._counts.put((kind, unit), count)
        return count
