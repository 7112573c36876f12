from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec
from streams.events import Event, FeedbackGiven, InferenceServed
from streams.messages import Message
from streams.topics import TOPICS, Topic
from tests.streams.support.traffic import feedback, served

RECORDED = Path(__file__).with_name("recorded_events")


@pytest.mark.slow
@given(
    st.text(st.characters(codec="utf-8")),
    st.integers(0, 2**53),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
)
def test_an_event_is_read_as_it_was_written(text: str, time_ms: int, tags: dict[str, str]) -> None:
    event = InferenceServed(
        **{name: getattr(served("a", 1), name) for name in InferenceServed.__struct_fields__}
        | {"output": text, "time_ms": time_ms, "tags": tags, "input_messages": [Message("user", text)]}
    )
    assert codec.decode(InferenceServed, codec.encode(event)) == event


@pytest.mark.slow
@given(st.binary(max_size=60))
def test_anything_else_is_undecodable_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(codec.Undecodable, match="FeedbackGiven: "):
        codec.decode(FeedbackGiven, data)


def test_an_unknown_field_of_a_later_release_is_passed_over() -> None:
    event = feedback(served("a", 1), True)
    data = codec.encode(event).replace(b'{"schema_version"', b'{"new":[1],"schema_version"')
    assert codec.decode(FeedbackGiven, data) == event


@pytest.mark.parametrize("kind", [InferenceServed, FeedbackGiven])
def test_events_of_version_1_stay_readable(kind: type[Event]) -> None:
    """As a gateway of 2026-11-29 wrote them."""
    data = (RECORDED / f"{'inference_served' if kind is InferenceServed else 'feedback_given'}.v1.json").read_bytes()
    event = codec.decode(kind, data)
    written = json.loads(data)
    assert {name: codec.plain(getattr(event, name)) for name in written} == written
    assert event.schema_version == 1
    assert not isinstance(event, FeedbackGiven) or event.loss == 0.0


@pytest.mark.parametrize("loss", [-0.1, 1.01, "bad"])
def test_what_is_no_loss_is_refused_by_name(loss: object) -> None:
    data = json.dumps({**json.loads(codec.encode(feedback(served("a", 1), True))), "loss": loss})
    with pytest.raises(codec.Undecodable, match="loss"):
        codec.decode(FeedbackGiven, data.encode())


@pytest.mark.parametrize("version", [0, -1, 99])
def test_a_version_that_no_release_writes_is_refused(version: int) -> None:
    data = codec.encode(served("a", 1)).replace(b'"schema_version":2', b'"schema_version":%d' % version)
    with pytest.raises(codec.Undecodable, match=rf"schema_version is {version}, expected 1 to 2"):
        codec.decode(InferenceServed, data)


def test_headers_are_cloud_events() -> None:
    named = dict(codec.headers(served("a", 1), id="x", time_ms=1_500, source="homeostat/test"))
    assert named["ce_type"] == b"homeostat.InferenceServed"
    assert named["ce_time"] == b"1970-01-01T00:00:01.500Z"
    assert {"ce_specversion", "ce_id", "ce_source", "content-type"} <= set(named)


def test_ids_of_other_parts_are_others() -> None:
    ids = {codec.deterministic_id(*parts) for parts in (("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"))}
    assert len(ids) == 4


def test_topics_are_single() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topics_key_is_a_field_of_what_it_carries(topic: Topic) -> None:
    assert topic.name == "monitor.state" or topic.key in topic.value.__struct_fields__
    assert all(isinstance(value, str) for value in topic.config.values())
    assert ("segment.bytes" in topic.config) == (topic.cleanup == "compact")
