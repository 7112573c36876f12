from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.canonical import LONGEST, calls, canonical
from monitor.metrics import exact_match, normalise, token_f1

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
CHAT = {"id": "call_1", "type": "function", "function": {"name": "block", "arguments": '{"card": 7, "now": true}'}}
SAME_CALL = [
    json.dumps(CHAT),
    json.dumps([CHAT]),
    json.dumps([{**CHAT, "index": 0, "id": "another"}]),
    json.dumps({"name": "block", "arguments": {"now": True, "card": 7.0}}),
    json.dumps({"type": "function_call", "call_id": "c", "name": "block", "arguments": '{"now":true,"card":7}'}),
]


@given(VALUES)
def test_json_has_one_form_however_it_is_written(value: object) -> None:
    spread = json.dumps([value, {"z": value, "a": 1}], indent=2)
    dense = json.dumps([value, dict(sorted({"z": value, "a": 1}.items()))], separators=(",", ":"), ensure_ascii=False)
    assert canonical(spread) == canonical(dense)


@pytest.mark.parametrize("text", SAME_CALL)
def test_a_call_is_the_same_in_each_interfaces_shape(text: str) -> None:
    assert canonical(text) == '[{"arguments":{"card":7,"now":true},"name":"block"}]'
    assert exact_match(text, SAME_CALL[0]) == 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"name": "block", "arguments": {"card": 8, "now": True}},
        {"name": "block", "arguments": {"card": "7", "now": True}},
        {"name": "block", "arguments": {"card": 7}},
        {"name": "unblock", "arguments": {"card": 7, "now": True}},
        [CHAT, CHAT],
    ],
)
def test_another_call_is_another(other: object) -> None:
    assert exact_match(json.dumps(other), SAME_CALL[0]) == 0.0


def test_arguments_that_are_no_json_are_compared_as_they_are() -> None:
    assert calls([("block", '{"card": ')]) == '[{"arguments":"{\\"card\\": ","name":"block"}]'
    assert calls([("block", "")]) == '[{"arguments":{},"name":"block"}]'


@pytest.mark.parametrize(
    "text", ["[email]", "{x}", "[1, 2", "7", '"a"', "", "[", "[NaN]", "see [1]", f"[{'1' * LONGEST}]"]
)
def test_what_is_no_json_stays_a_text(text: str) -> None:
    assert canonical(text) is None
    assert normalise(text) == normalise(f" {text}\n")


def test_texts_within_json_are_compared_as_texts_are() -> None:
    assert exact_match('{"city": "K\u00d6LN"}', '{"city": "Ko\u0308ln"}') == 1.0
    assert exact_match('{"city": "Bonn"}', '{"city": "Berlin"}') == 0.0


def test_f1_of_json_counts_keys_and_values() -> None:
    truth = '{"name": "Ann Lee", "age": 41, "city": "Bonn"}'
    assert token_f1('{"city":"Bonn","age":41.0,"name":"Ann Lee"}', truth) == 1.0
    assert token_f1('{"city":"Bonn","age":42,"name":"Ann Lee"}', truth) == pytest.approx(6 / 7)


@pytest.mark.parametrize("depth", [100, 900, 990, 995, 998, 1_000, 3_000, 9_000])
def test_what_is_nested_too_deep_to_read_is_a_text(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for text in (deep, json.dumps({"name": "block", "arguments": deep}), json.dumps([{"function": deep}])):
        assert normalise(text) == normalise(text)
    assert calls([("block", deep)])
