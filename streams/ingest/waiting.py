"""The labels that wait for their judgement, and when each is looked at. Pure; bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush

from streams.lake.unjudged import UnjudgedLabel

MOST = 100_000  # labels, of some 400 bytes each
FIRST_MS, LONGEST_MS = 60_000, 21_600_000  # to the second look, and at most; twice as long each time


@dataclass(slots=True)
class _Entry:
    label: UnjudgedLabel
    next_ms: int | None = 0  # when it is looked at; None while that is done, and once its judgement is sent
    looks: int = 0


@dataclass(slots=True)
class WaitingLabels:
    """The labels of the partitions that are open. One whose judgement is sent stays until that comes back through the
    log, so that none is sent twice. Where they are more than `most`, the partition of the next is closed: its labels
    are read from the lake once there is room."""

    wait_ms: int
    most: int = MOST
    open: set[int] = field(default_factory=set)
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _queue: list[tuple[int, str]] = field(default_factory=list)  # a heap of looks; an entry knows which one holds
    _judged: set[str] | None = None  # from `begin` to `end`: what was judged meanwhile

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def roomy(self) -> bool:
        """Return whether a closed partition may be opened."""
        return 2 * len(self._entries) <= self.most

    @contextmanager
    def opening(self, partitions: Collection[int]) -> Iterator[set[int]]:
        """Yield those of the partitions that are closed, if there is room, open while what came before is added; they
        are closed again where that fails."""
        fresh = set(partitions) - self.open if self.roomy else set()
        if not fresh:
            yield fresh
            return
        self.begin(fresh)
        try:
            yield fresh
        except BaseException:
            self.open -= fresh
            raise
        finally:
            self.end()

    def begin(self, partitions: Collection[int]) -> None:
        """Open partitions: what comes from now on is added, and by `end` what came before."""
        self.open |= set(partitions)
        self._judged = set()

    def end(self) -> None:
        """Forget what was judged since `begin`: nothing of before is added any more."""
        self._judged = None

    def add(self, labels: Iterable[UnjudgedLabel]) -> None:
        """Take labels of open partitions. One that is there, or was judged since `begin`, changes nothing."""
        judged = self._judged or ()
        for label in labels:
            if label.partition not in self.open or label.id in self._entries or label.id in judged:
                continue
            if len(self._entries) < self.most:
                self._entries[label.id] = _Entry(label)
                heappush(self._queue, (0, label.id))
            else:
                self.open.discard(label.partition)

    def judged(self, ids: Iterable[str]) -> None:
        """Drop labels whose judgement came through the log."""
        for id in ids:
            self._entries.pop(id, None)
            if self._judged is not None:
                self._judged.add(id)

    def forget(self) -> None:
        """Drop all: partitions were taken away."""
        self.open.clear()
        self._entries.clear()
        self._queue.clear()

    def due(self, now_ms: int, most: int) -> list[UnjudgedLabel]:
        """Return labels to look at now; give those that wait on to `later`."""
        found: list[UnjudgedLabel] = []
        while self._queue and self._queue[0][0] <= now_ms and len(found) < most:
            next_ms, id = heappop(self._queue)
            entry = self._entries.get(id)
            if entry is not None and entry.next_ms == next_ms:
                entry.next_ms = None
                found.append(entry.label)
        return found

    def later(self, labels: Iterable[UnjudgedLabel], now_ms: int) -> None:
        """Look at these again: each time later, and as soon as their wait is over."""
        for label in labels:
            if (entry := self._entries.get(label.id)) is None:
                continue
            over_ms, next_ms = label.since_ms + self.wait_ms, now_ms + min(FIRST_MS << entry.looks, LONGEST_MS)
            entry.next_ms = min(next_ms, over_ms) if over_ms > now_ms else next_ms
            entry.looks = min(entry.looks + 1, 16)
            heappush(self._queue, (entry.next_ms, label.id))

    def over(self, label: UnjudgedLabel, now_ms: int) -> bool:
        """Return whether a label's wait is over."""
        return now_ms >= label.since_ms + self.wait_ms
