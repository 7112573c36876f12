from __future__ import annotations

import json
from datetime import date

from streams.events import FeedbackGiven, InferenceServed
from streams.lake.table import question, replies, rows, schema
from streams.messages import Message
from tests.streams.support.traffic import START_MS, feedback, served

EVENTS = [served("support", i) for i in range(3)]


def test_messages_and_tags_are_json_and_names_are_text() -> None:
    row = rows(InferenceServed, 0, [0], EVENTS[:1]).to_pylist()[0]
    assert json.loads(row["input_messages"])[1] == {"role": "user", "content": EVENTS[0].input_messages[1].content}
    assert json.loads(row["tags"]) == {"tenant": "acme"}
    assert row["arm"] == "champion"


def test_what_is_unknown_stays_unknown() -> None:
    given = [feedback(event, correct) for event, correct in zip(EVENTS, (True, False, None), strict=True)]
    assert rows(FeedbackGiven, 1, [0, 1, 2], given)["loss"].to_pylist() == [0.0, 1.0, None]


def test_a_row_has_its_place_in_the_log_and_the_day_on_which_it_came() -> None:
    table = rows(InferenceServed, 3, [7], EVENTS[:1], "an-id", [START_MS + 2 * 86_400_000])
    place = table.select(["partition", "offset", "topic_id", "log_day"]).to_pylist()
    assert place == [{"partition": 3, "offset": 7, "topic_id": "an-id", "log_day": date(2025, 6, 17)}]
    assert len(set(table.column_names)) == len(table.column_names), "a column has the name of an event's field"


def test_no_events_are_no_rows_with_all_columns() -> None:
    assert rows(FeedbackGiven, 0, [], []).schema == schema(FeedbackGiven)


def test_replies_are_what_the_descriptors_read() -> None:
    found = replies(rows(InferenceServed, 0, [0, 1, 2], EVENTS))
    assert [reply.prompt for reply in found] == [event.input_messages[1].content for event in EVENTS]
    assert [reply.logprob_min for reply in found] == [event.logprob_min for event in EVENTS]


def test_without_a_user_all_messages_are_the_question() -> None:
    assert question([Message("system", "a"), Message("assistant", "b")]) == "a\nb"
