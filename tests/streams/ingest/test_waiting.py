from __future__ import annotations

import itertools

from streams.ingest.waiting import FIRST_MS, LONGEST_MS, WaitingLabels
from streams.lake.unjudged import UnjudgedLabel

HOUR_MS = 3_600_000


def label(number: int, partition: int = 0, since_ms: int = 0) -> UnjudgedLabel:
    return UnjudgedLabel(str(number), f"reply-{number}", partition, number, since_ms)


def opened(*partitions: int, wait_ms: int = 48 * HOUR_MS, most: int = 100) -> WaitingLabels:
    waiting = WaitingLabels(wait_ms, most)
    waiting.begin(partitions)
    waiting.end()
    return waiting


def looks(waiting: WaitingLabels, until_ms: int) -> list[int]:
    """When the one label is looked at, minute by minute."""
    found = []
    for now_ms in range(0, until_ms, 60_000):
        if due := waiting.due(now_ms, 10):
            found.append(now_ms)
            waiting.later(due, now_ms)
    return found


def test_it_is_looked_at_at_once_then_ever_later_and_when_its_wait_is_over() -> None:
    waiting = opened(0)
    waiting.add([label(1)])
    found = looks(waiting, 48 * HOUR_MS + 60_000)
    assert found[:4] == [0, FIRST_MS, 3 * FIRST_MS, 7 * FIRST_MS]
    assert max(b - a for a, b in itertools.pairwise(found)) == LONGEST_MS
    assert found[-1] == 48 * HOUR_MS
    assert waiting.over(label(1), 48 * HOUR_MS)
    assert not waiting.over(label(1), 48 * HOUR_MS - 1)


def test_one_that_is_sent_is_not_due_again_and_stays_until_its_judgement_comes() -> None:
    waiting = opened(0)
    waiting.add([label(1)])
    assert waiting.due(0, 10) == [label(1)]
    waiting.add([label(1)])
    assert waiting.due(LONGEST_MS, 10) == []
    assert len(waiting) == 1
    waiting.judged(["1"])
    assert len(waiting) == 0


def test_labels_of_partitions_that_are_not_open_are_not_taken() -> None:
    waiting = opened(0)
    waiting.add([label(1, partition=3)])
    assert len(waiting) == 0


def test_one_that_was_judged_while_the_lake_was_read_does_not_wait() -> None:
    waiting = opened()
    waiting.begin([0])
    waiting.judged(["1"])
    waiting.add([label(1), label(2)])
    waiting.end()
    assert waiting.due(0, 10) == [label(2)]
    waiting.add([label(1)])
    assert waiting.due(0, 10) == [label(1)], "nothing is remembered longer"


def test_where_there_is_no_room_the_partition_is_closed_and_the_others_are_not() -> None:
    waiting = opened(0, 1, most=2)
    waiting.add([label(1), label(2), label(3, partition=1)])
    assert (len(waiting), waiting.open, waiting.roomy) == (2, {0}, False)
    waiting.judged(["1"])
    assert waiting.roomy


def test_no_more_are_due_than_are_asked_for_and_those_taken_away_are_none() -> None:
    waiting = opened(0)
    waiting.add([label(number) for number in range(10)])
    assert len(waiting.due(0, 3)) == 3
    waiting.forget()
    waiting.later([label(1)], 0)
    assert (waiting.due(LONGEST_MS, 10), waiting.open) == ([], set())
