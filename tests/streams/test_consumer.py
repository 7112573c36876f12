"""Where reading goes on after a rebalance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import faust
import pytest
from aiokafka import TopicPartition
from faust.types import TP

from streams.consumer import Consumer

ASSIGNED = {TP("monitor.scores", partition) for partition in range(3)}


class Broker:
    """The part of Faust's thread that knows what is committed, and where reading stands."""

    def __init__(self, committed: Mapping[int, int | None], position: int) -> None:
        self.committed = committed
        self.at = {tp.partition: position for tp in ASSIGNED}

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
    app = faust.App("test", broker="kafka://nowhere", store="memory://")
    idle: Any = partial(print)
    consumer = Consumer(app.transport, idle, idle, idle, room={})
    consumer._thread = broker = Broker(committed, position=91)
    await consumer.perform_seek()
    assert broker.at == {partition: offset or 0 for partition, offset in committed.items()}
