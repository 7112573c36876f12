"""Lakes that earlier code wrote: read, written and cared for by today's."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from streams.events import FeedbackGiven, InferenceServed
from streams.lake.compaction import compact
from streams.lake.history import Stretch, survey
from streams.lake.lake import Lake
from streams.lake.retention import expire
from streams.lake.table import events
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import ids, put, stored
from tests.streams.support.recorded_lake import FOLDER, ROWS, present
from tests.streams.support.traffic import feedback, served

RECORDED = sorted(FOLDER.iterdir())
LATER = date(2100, 1, 1)


@pytest.fixture(params=RECORDED, ids=lambda at: at.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    shutil.copytree(request.param, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def test_the_columns_of_today_are_recorded() -> None:
    assert present() in RECORDED, "an event has other fields: run python -m tests.streams.support.recorded_lake"


def test_its_rows_are_events_as_they_were(old: Lake) -> None:
    """A field that was not there yet has its default."""
    replies = events(InferenceServed, old.read(INFERENCE))
    labels = events(FeedbackGiven, old.read(FEEDBACK))
    assert [(each.id, each.output, each.client) for each in replies] == [
        (each.id, each.output, each.client) for each in (served("support", i) for i in range(ROWS))
    ]
    assert [(each.event_id, each.loss) for each in labels] == [
        (each.id, float(i % 2)) for i, each in enumerate(replies)
    ]


def test_its_labels_are_counted_whichever_column_says_how_good_a_reply_was(old: Lake) -> None:
    assert survey(old, Stretch())["support"].labels == ROWS


def test_it_goes_on_where_it_was(old: Lake) -> None:
    """The rows that it has are not written again, the new ones are; merging and deleting work across both."""
    replies = [served("support", i) for i in range(2 * ROWS)]
    put(old, INFERENCE, replies)
    put(old, FEEDBACK, [replace(feedback(each, True), label="new") for each in replies])
    assert set(ids(old, INFERENCE).values()) == {1}
    assert len(ids(old, INFERENCE)) == len(ids(old, FEEDBACK)) == 2 * ROWS
    before = stored(old)
    assert compact(old, LATER) > 0
    assert stored(old) == before
    assert len(events(InferenceServed, old.read(INFERENCE))) == 2 * ROWS
    assert expire(old, LATER) == 4 * ROWS
