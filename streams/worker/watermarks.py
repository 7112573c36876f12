"""How far a worker is: what the judge must know before it takes events in the order of the log
(`streams.judge.ordering`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams import codec
from streams.events import PartitionsPassed
from streams.log.outbox import Outgoing
from streams.log.outbox import outgoing as sent
from streams.topics import SCORES


@dataclass(frozen=True, slots=True)
class Stand:
    """One partition: `reached` is the offset before which every event has its scores in the log, `end` the log's end
    when it was asked for, `handled_ms` the log's time of the newest event with scores."""

    reached: int
    end: int
    handled_ms: int | None = None

    def passed_ms(self, asked_ms: int, skew_ms: int) -> int | None:
        """The time before which the log took nothing that has no scores; None where that is not known. `asked_ms`: when
        the end was asked for, at the latest.

        >>> [Stand(9, 9).passed_ms(5_000, 1_000), Stand(8, 9, 3_000).passed_ms(5_000, 1_000)]
        [4000, 3000]
        """
        return asked_ms - skew_ms if self.reached >= self.end else self.handled_ms


def told(
    worker: str, stands: Mapping[str, Stand], partitions: Mapping[str, int], asked_ms: int, skew_ms: int
) -> PartitionsPassed:
    """What to tell of the partitions, by `topic/partition`; of one that nothing is known of, nothing."""
    passed = {origin: stand.passed_ms(asked_ms, skew_ms) for origin, stand in stands.items()}
    known = {origin: passed_ms for origin, passed_ms in passed.items() if passed_ms is not None}
    return PartitionsPassed(worker=worker, passed_ms=known, partitions=dict(partitions))


def outgoing(event: PartitionsPassed, partitions: Iterable[int], asked_ms: int) -> list[Outgoing]:
    """One record for each of these partitions of the scores."""
    id = codec.deterministic_id("passed", event.worker, asked_ms)
    return [sent(SCORES, event, id=id, time_ms=asked_ms, partition=each, key=event.worker) for each in partitions]
