"""What the judge has of one partition of the scores, from one rebalance to the next."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from streams.judge.memory import Shelf
from streams.judge.ordering import Merge
from streams.log.chunks import Chunk
from streams.log.outbox import Outgoing
from streams.topics import RESULTS, SCORES


@dataclass(slots=True)
class Desk:
    """Its aliases' memories, and rows that wait for their turn. It takes all that is not acknowledged, in order; after
    a rebalance another does so from the beginning. A chunk is settled at the desk that took it, and at no other."""

    shelf: Shelf
    merge: Merge
    held: list[Chunk] = field(default_factory=list)  # that are not settled
    done: list[Chunk] = field(default_factory=list)  # that are, and nobody was told
    refused: dict[str, Outgoing] = field(default_factory=dict)  # letters that are not confirmed, by id

    def take(self, chunks: Iterable[Chunk]) -> None:
        """Has them in hand; once more changes nothing."""
        self.held = list(dict.fromkeys([*self.held, *chunks]))

    def until(self) -> int:
        """The offset of the scores before which nothing may wait any longer, so that half of what is in hand can be
        acknowledged; 0 while there is room. Without it, one row that waits would end the reading of what it waits for.
        """
        scores = sorted((each for each in self.held if each.topic == SCORES.name), key=lambda each: each.first)
        sizes = list(accumulate(each.size for each in scores))
        if not sizes or sizes[-1] < self.merge.ordering.room:
            return 0
        return scores[bisect_left(sizes, sizes[-1] / 2)].end

    def settle(self) -> None:
        """What nothing waits in any more may be acknowledged; results wait for nothing."""
        done = {each for each in self.held if each.topic == RESULTS.name or each.end <= self.merge.settled}
        self.done += [each for each in self.held if each in done]
        self.held = [each for each in self.held if each not in done]

    def told(self) -> list[Chunk]:
        """What may be acknowledged, each chunk once."""
        done, self.done = self.done, []
        return list(dict.fromkeys(done))
