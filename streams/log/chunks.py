"""Runs of consecutive records, and which of them are done: the worker takes and acknowledges them as a whole."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streams.log.read import Raw

P = TypeVar("P", bound=Hashable)

LARGE = 4_096  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive records of one partition, at least one. `first` is where reading went on, `end` where it goes on
    next: offsets between them that no record has (the log was compacted or cut) belong to the chunk."""

    topic: str
    partition: int
    first: int
    end: int
    records: list[Raw]
    size: int  # as `size` counts
    generation: int  # of the group's assignment, in which it was fetched

    @property
    def newest_ms(self) -> int:
        """Return the log's time of the last record."""
        return self.records[-1].timestamp_ms


def size(records: Iterable[Raw]) -> int:
    """Return the memory and time that records take: their number, of which a large one counts for several.

    >>> size([Raw(0, 0, 0, None, b"small"), Raw(0, 1, 0, None, bytes(2 * LARGE))])
    4
    """
    return sum(1 + len(record.value or b"") // LARGE for record in records)


@dataclass(slots=True)
class ReadProgress(Generic[P]):
    """Up to where each partition is done, without a hole: so far it may be committed.

    >>> progress = ReadProgress[str]()
    >>> progress.begin("a", 10)
    >>> progress.done("a", 20, 30), progress.position("a")
    (None, None)
    >>> progress.done("a", 10, 20), progress.position("a")
    (None, 30)
    """

    _next: dict[P, int] = field(default_factory=dict)
    _begun: dict[P, int] = field(default_factory=dict)
    _ahead: dict[P, list[tuple[int, int]]] = field(default_factory=dict)  # done, but something before them is not

    def begin(self, place: P, first: int) -> None:
        """Begin a partition at that offset; has no effect on one that was begun."""
        self._next.setdefault(place, self._begun.setdefault(place, first))

    def done(self, place: P, first: int, end: int) -> None:
        """Mark everything from `first` to before `end` as done. A partition forgotten meanwhile stays so."""
        if place not in self._next:
            return
        ahead = sorted([*self._ahead.pop(place, []), (first, end)])
        while ahead and ahead[0][0] <= self._next[place]:
            self._next[place] = max(self._next[place], ahead.pop(0)[1])
        if ahead:
            self._ahead[place] = ahead

    def reached(self, place: P) -> int | None:
        """Return the offset that is to be done next; None where reading has not begun."""
        return self._next.get(place)

    def position(self, place: P) -> int | None:
        """Return the offset that may be committed, which is to be done next; None where nothing was done yet."""
        reached = self._next.get(place)
        return reached if reached != self._begun.get(place) else None

    def places(self) -> list[P]:
        """Return the partitions that were begun."""
        return list(self._next)

    def forget(self, places: Iterable[P]) -> None:
        """Drop partitions that were taken away."""
        for place in places:
            for known in (self._next, self._begun, self._ahead):
                known.pop(place, None)
