"""How far a worker is. The judge waits for these watermarks, so that it takes events in the order of the log
(`streams.judge.ordering`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams import codec
from streams.events import PartitionsPassed
from streams.log.outbox import Outgoing, outgoing
from streams.topics import SCORES


@dataclass(frozen=True, slots=True)
class Position:
    """How one partition stands: `reached` is the offset before which every event has its scores in the log, `end` the
    log's end when it was asked for, `handled_ms` the log's time of the newest event with scores."""

    reached: int
    end: int
    handled_ms: int | None = None

    def passed_ms(self, asked_ms: int, skew_ms: int) -> int | None:
        """Return the time before which each record that the log took has its scores; None where that is not known.
        `asked_ms`: when the end was asked for, at the latest.

        >>> [Position(9, 9).passed_ms(5_000, 1_000), Position(8, 9, 3_000).passed_ms(5_000, 1_000)]
        [4000, 3000]
        """
        return asked_ms - skew_ms if self.reached >= self.end else self.handled_ms


def watermark(
    worker: str, positions: Mapping[str, Position], partitions: Mapping[str, int], asked_ms: int, skew_ms: int
) -> PartitionsPassed:
    """Return the watermark of the partitions, by `topic/partition`; partitions whose time is not known are left out."""
    passed = {origin: position.passed_ms(asked_ms, skew_ms) for origin, position in positions.items()}
    known = {origin: passed_ms for origin, passed_ms in passed.items() if passed_ms is not None}
    return PartitionsPassed(worker=worker, passed_ms=known, partitions=dict(partitions))


def records(event: PartitionsPassed, partitions: Iterable[int], asked_ms: int) -> list[Outgoing]:
    """Return the watermark's record for each of these partitions of the scores."""
    id = codec.deterministic_id("passed", event.worker, asked_ms)
    return [outgoing(SCORES, event, id=id, time_ms=asked_ms, partition=each, key=event.worker) for each in partitions]
