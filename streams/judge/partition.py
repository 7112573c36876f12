"""One partition of the scores, as the judge has it from one rebalance to the next."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from streams.judge.memory import StateStore
from streams.judge.ordering import Merge
from streams.log.chunks import Chunk
from streams.log.outbox import Outgoing
from streams.topics import RESULTS, SCORES


@dataclass(slots=True)
class PartitionState:
    """The memories of its aliases, and the rows that wait for their tick. It takes all records that are not
    acknowledged, in order; after a rebalance another state does so from the beginning. A chunk is acknowledged through
    the state that took it, and through no other."""

    store: StateStore
    merge: Merge
    held: list[Chunk] = field(default_factory=list)  # in which rows may wait
    done: list[Chunk] = field(default_factory=list)  # acknowledgeable, and not yet handed out
    dead_letters: dict[str, Outgoing] = field(default_factory=dict)  # that are not confirmed, by id

    def hold(self, chunks: Iterable[Chunk]) -> None:
        """Take chunks; one taken before changes nothing."""
        self.held = list(dict.fromkeys([*self.held, *chunks]))

    def release_before(self) -> int:
        """Return the offset up to which waiting rows must be released, or 0 while the buffer has room.

        Half of the buffer can be acknowledged then. Without this limit a waiting row could block the very record that
        it waits for."""
        scores = sorted((each for each in self.held if each.topic == SCORES.name), key=lambda each: each.first)
        sizes = list(accumulate(each.size for each in scores))
        if not sizes or sizes[-1] < self.merge.ordering.room:
            return 0
        return scores[bisect_left(sizes, sizes[-1] / 2)].end

    def advance(self) -> None:
        """Make the chunks acknowledgeable in which no row waits any more; in results none ever does."""
        done = {each for each in self.held if each.topic == RESULTS.name or each.end <= self.merge.waits_from}
        self.done += [each for each in self.held if each in done]
        self.held = [each for each in self.held if each not in done]

    def acknowledgeable(self) -> list[Chunk]:
        """Hand out the chunks that may be acknowledged, each once."""
        done, self.done = self.done, []
        return list(dict.fromkeys(done))
