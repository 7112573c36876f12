"""Where reading goes on after a rebalance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from unittest.mock import Mock

import faust
import pytest
from aiokafka import TopicPartition
from faust.types import TP
from structlog.testing import capture_logs

from streams import metrics
from streams.worker.consumer import Consumer

ASSIGNED = {TP("monitor.scores", partition) for partition in range(3)}


class Broker:
    """The part of Faust's thread that knows what is committed, and where reading stands."""

    def __init__(self, committed: Mapping[int, int | None], position: int, first: int = 0) -> None:
        self.committed, self.first = committed, first
        self.at = {tp.partition: position for tp in ASSIGNED}

    async def earliest_offsets(self, *places: TP) -> dict[TP, int]:
        return dict.fromkeys(places, self.first)

    async def seek_wait(self, places: Mapping[TP, int]) -> None:
        self.at |= {tp.partition: offset for tp, offset in places.items()}

    def assignment(self) -> set[TP]:
        return ASSIGNED

    async def seek_to_committed(self) -> dict[TP, int | None]:
        """As aiokafka does: 0 and nothing are the same to it."""
        self.at |= {partition: offset for partition, offset in self.committed.items() if offset}
        return {TP("monitor.scores", partition): offset for partition, offset in self.committed.items()}

    async def seek_to_beginning(self, *places: TopicPartition) -> None:
        assert all(isinstance(each, TopicPartition) for each in places)
        self.at |= {each.partition: 0 for each in places}


@pytest.mark.parametrize("committed", [{0: 40, 1: 0, 2: None}, {0: None, 1: None, 2: None}, {0: 7, 1: 8, 2: 9}])
async def test_reading_goes_on_at_what_is_committed_and_where_nothing_is_at_the_beginning(
    committed: dict[int, int | None],
) -> None:
    broker = Broker(committed, position=91)
    await consumer(broker).perform_seek()
    assert broker.at == {partition: offset or 0 for partition, offset in committed.items()}


@pytest.mark.parametrize(
    ("committed", "first", "fetched", "back_to"),
    [
        (40, 0, 40, None),
        (40, 0, 39, None),  # what was committed meanwhile
        (40, 0, 91, 40),
        (None, 0, 0, None),
        (None, 0, 91, 0),
        (None, 91, 91, None),  # the log has nothing older
        (40, 60, 60, None),
        (40, 60, 91, 60),
    ],
)
async def test_what_was_fetched_and_dropped_in_a_rebalance_is_fetched_again(
    committed: int | None, first: int, fetched: int, back_to: int | None
) -> None:
    place = TP("monitor.scores", 0)
    broker = Broker(dict.fromkeys(range(3), committed), position=0, first=first)
    reader = consumer(broker)
    await reader.perform_seek()
    broker.at[0] = fetched
    assert await reader._begins(place, fetched) == (back_to is None)
    assert broker.at[0] == (fetched if back_to is None else back_to)
    assert await reader._begins(place, fetched)  # sent back once: the log may have a hole there


async def test_nothing_is_delivered_while_partitions_are_assigned() -> None:
    """The rebalance before this one let the flow go on; what is fetched now was asked for by the one before."""
    place, delivered = TP("monitor.scores", 0), []

    async def assigned(_: set[TP], __: int) -> None:
        delivered.extend([tp async for tp, _ in reader.getmany(1.0)])

    async def fetched(_: float) -> tuple[dict[TP, list[Any]], set[TP]]:
        return {place: [Mock(offset=91, timestamp=1, key=b"a", value=b"{}")]}, {place}

    reader = consumer(broker := Broker({0: 40}, position=91), assigned)
    reader._wait_next_records = fetched
    reader.resume_flow()
    await reader.on_partitions_assigned({place})
    assert delivered == []
    assert broker.at[0] == 40


def unread() -> float:
    return float(metrics.DELETED_UNREAD.labels("monitor.scores")._value.get())


@pytest.mark.parametrize(
    ("committed", "first", "deleted"), [(40, 60, 20), (40, 40, 0), (40, 0, 0), (0, 5, 5), (None, 60, 0)]
)
async def test_what_the_log_deleted_before_it_was_read_is_told_with_its_number(
    committed: int | None, first: int, deleted: int
) -> None:
    reader, before = consumer(Broker({0: committed, 1: None, 2: None}, position=0, first=first)), unread()
    with capture_logs() as said:
        await reader.perform_seek()
        await reader.perform_seek()  # another rebalance tells nothing twice
    assert unread() - before == deleted
    told = [(each["topic"], each["partition"], each["records"]) for each in said if "deleted unread" in each["event"]]
    assert told == ([("monitor.scores", 0, deleted)] if deleted else [])
    assert reader._new_offset(TP("monitor.scores", 0)) == (first if deleted else None)


async def test_what_is_deleted_while_the_worker_lags_behind_is_told_too() -> None:
    place, before = TP("monitor.scores", 0), unread()
    broker = Broker({0: 40, 1: None, 2: None}, position=0, first=0)
    reader = consumer(broker)
    await reader.perform_seek()
    broker.first = 55
    reader._skip(place, await reader._first_left(place, 70))
    reader._skip(place, await reader._first_left(place, 70))
    assert unread() - before == 15
    assert await reader._first_left(place, 55) == 0


async def _nothing(*_: object) -> None: ...


def consumer(broker: Broker, assigned: Callable[[set[TP], int], Awaitable[None]] = _nothing) -> Consumer:
    app = faust.App("test", broker="kafka://nowhere", store="memory://")
    made = Consumer(app.transport, _nothing, _nothing, assigned, room={})
    made._thread = broker
    return made
