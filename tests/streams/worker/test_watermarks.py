from __future__ import annotations

import pytest

from streams import codec
from streams.events import PartitionsPassed
from streams.log.chunks import ReadProgress
from streams.topics import SCORES
from streams.worker.watermarks import Position, records, watermark

COUNTS = {"inference.events": 2}


@pytest.mark.parametrize(
    ("position", "passed_ms"),
    [
        (Position(9, 9), 4_000),  # nothing waited when its end was asked for
        (Position(12, 9), 4_000),  # what came since then is done too
        (Position(8, 9, 3_000), 3_000),  # something waits that the log took after that
        (Position(9, 9, 3_000), 4_000),
        (Position(8, 9), None),
    ],
)
def test_only_what_is_known_is_told(position: Position, passed_ms: int | None) -> None:
    event = watermark("w", {"inference.events/0": position}, COUNTS, asked_ms=5_000, skew_ms=1_000)
    assert event.passed_ms == ({} if passed_ms is None else {"inference.events/0": passed_ms})
    assert event.partitions == COUNTS


def test_every_partition_of_the_scores_is_told() -> None:
    event = watermark("w", {"inference.events/0": Position(9, 9)}, COUNTS, 5_000, 1_000)
    sent = records(event, range(3), 5_000)
    assert [(each.topic, each.partition) for each in sent] == [(SCORES, 0), (SCORES, 1), (SCORES, 2)]
    assert all(codec.decode(PartitionsPassed, each.value) == event for each in sent)


def test_what_is_done_behind_a_hole_is_not_reached() -> None:
    progress = ReadProgress[str]()
    assert progress.reached("a") is None
    progress.begin("a", 10)
    progress.done("a", 20, 30)
    assert progress.reached("a") == 10
    progress.done("a", 10, 20)
    assert progress.reached("a") == 30
    progress.forget(["a"])
    assert progress.reached("a") is None
