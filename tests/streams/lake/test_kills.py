"""`kill -9` between every pair of steps, on a folder and on S3: each reply is a row once, and scored."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from streams.lake.lake import Lake
from streams.objects.opening import Storage
from streams.topics import INFERENCE
from tests.streams.support.intake import EVENTS, STEPS, Order, scored, start
from tests.streams.support.lakes import ids
from tests.support.s3 import S3, is_commit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def ended(order: Order) -> int:
    return start(order).wait(timeout=60)


def exactly_once(lake: Lake, var: Path) -> None:
    assert ids(lake, INFERENCE) == {event.id: 1 for event in EVENTS}
    assert scored(var) == [event.id for event in EVENTS]


def test_a_worker_killed_at_each_step_leaves_what_an_undisturbed_one_leaves(storage: Storage, lake: Lake) -> None:
    order = Order(storage)
    for step in STEPS:
        order.dies = step
        assert ended(order) == -signal.SIGKILL, step
    order.dies = ""
    assert ended(order) == 0
    exactly_once(lake, order.storage.var)


def test_a_worker_killed_while_it_writes_leaves_what_an_undisturbed_one_leaves(storage: Storage, lake: Lake) -> None:
    order = Order(storage)
    for order.within_ms in (1.0, 3.0, 6.0, 12.0):
        ended(order)
    order.within_ms = 0.0
    assert ended(order) == 0
    exactly_once(lake, order.storage.var)


def test_a_worker_killed_before_and_after_the_store_has_each_part_of_a_commit(s3: S3, tmp_path: Path) -> None:
    """Rows first, then the version of the table that names them; an answer may be lost with the worker."""
    order = Order(Storage(s3.storage("killed"), tmp_path))
    lake = Lake.of(order.storage)

    def rows(method: str, path: str) -> bool:
        return method == "PUT" and path.endswith(".parquet") and "_delta_log" not in path

    whens: tuple[Literal["before", "after"], ...] = ("before", "after")
    for when in whens:
        for wanted in (rows, is_commit):
            _killed_at(s3, order, when, wanted)
    s3.reset()
    assert ended(order) == 0
    exactly_once(lake, order.storage.var)


def _killed_at(s3: S3, order: Order, when: Literal["before", "after"], wanted: Callable[[str, str], bool]) -> None:
    s3.reset()
    process = start(order)
    s3.kill_at_second(when, wanted, process)
    assert process.wait(timeout=60) == -signal.SIGKILL
