from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.operator.rows import DataError, LabelledRow, read_file

GOOD = '{"text": "where is my card", "label": "card arrival"}\n'


def written(tmp_path: Path, text: str | bytes, name: str = "before.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problem(path: Path, least: int = 1) -> str:
    with pytest.raises(DataError) as caught:
        read_file(path, least)
    return str(caught.value)


def test_rows_are_read_in_order_blank_lines_and_further_fields_ignored(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + GOOD + '\n{"id": 3, "text": "bonjour é", "label": "b"}\r\n')
    assert read_file(path) == [LabelledRow("where is my card", "card arrival"), LabelledRow("bonjour é", "b")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": "a", "label"', ["line 2", "not JSON", "expected one object a line"]),
        ("[" * 100_000, ["line 2", "not JSON", "recursion"]),
        ("[1, 2]", ["line 2", "[1, 2] is not an object"]),
        ('{"text": "a", "lable": "b"}', ["line 2", 'field "label" is missing', "'lable'"]),
        ('{"text": "a", "label": 3}', ["line 2", 'field "label" is 3', "expected a text"]),
        ('{"text": "  ", "label": "b"}', ["line 2", 'field "text" is', "not empty"]),
        ('{"text": "\\ud800", "label": "b"}', ["line 2", "not JSON"]),
        ('{"messages": [], "label": "b"}', ["line 2", 'field "messages" is []', "a list of messages"]),
        (
            '{"messages": [{"content": "a"}], "label": "b"}',
            ["line 2", "messages[0]", "an object with role and content"],
        ),
        ('{"messages": [{"role": "user", "content": 3}], "label": "b"}', ["messages[0].content", "is 3", "a text"]),
        ('{"messages": [{"role": "user", "content": "a"}]}', ['"label" is missing', "do not end with an answer"]),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', ['"label" is missing', "to another message"]),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}',
            ["messages[1].content", "expected an answer"],
        ),
        ('{"text": "a", "label": "b", "tools": [7]}', ['field "tools" is [7]', "a list of"]),
        (b'{"text": "caf\xe9", "label": "b"}', ["line 2", "byte 14", "0xe9", "UTF-8"]),
    ],
)
def test_a_broken_line_is_named_with_field_value_and_expectation(
    tmp_path: Path, line: str | bytes, words: list[str]
) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    path = written(tmp_path, GOOD.encode() + raw + b"\n" + GOOD.encode())
    told = problem(path)
    assert str(path) in told
    assert [word for word in words if word not in told] == []


def test_all_problems_are_told_the_first_ten_in_full(tmp_path: Path) -> None:
    path = written(tmp_path, '{"text": "", "label": ""}\n' * 7)
    told = problem(path)
    assert "14 problem(s)" in told
    assert told.count("line ") == 10
    assert "and 4 more" in told


def test_too_few_rows_say_how_many_are_needed(tmp_path: Path) -> None:
    assert "2 rows, expected at least 200" in problem(written(tmp_path, GOOD * 2), least=200)
    assert "0 rows, expected at least 1" in problem(written(tmp_path, ""))


def test_a_missing_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl: .*\n.*does not exist; expected JSON lines"):
        read_file(tmp_path / "rows.jsonl")
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_file(tmp_path / "rows.jsonl")


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKED = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Rain in Bonn?"}]


def chat(answer: dict[str, object], **more: object) -> bytes:
    return json.dumps({"messages": [*ASKED, {"role": "assistant", **answer}], **more}).encode()


def test_a_chat_ends_with_its_answer_as_fine_tuning_files_have_it(tmp_path: Path) -> None:
    (row,) = read_file(written(tmp_path, chat({"content": "No."}, parallel_tool_calls=False)))
    assert (row.text, row.label, row.asked, row.request) == (
        "Rain in Bonn?",
        "No.",
        ASKED,
        {"parallel_tool_calls": False},
    )
    example = row.example()
    assert [(each.role, each.content) for each in example.messages] == [
        ("system", "Be short."),
        ("user", "Rain in Bonn?"),
    ]


def test_calls_and_json_are_labels_in_the_form_that_answers_are_compared_in(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Bonn"}'}}
    one = chat({"content": None, "tool_calls": [call]}, tools=[WEATHER])
    other = {"messages": ASKED, "label": [call], "tools": [WEATHER]}
    table = {"text": "Which?", "label": {"b": 1.0, "a": True}, "response_format": {"type": "json_object"}}
    lines = b"\n".join([one, json.dumps(other).encode(), json.dumps(table).encode()])
    first, second, third = read_file(written(tmp_path, lines))
    assert first.label == second.label == '[{"arguments":{"town":"Bonn"},"name":"weather"}]'
    assert first.example().tools == [WEATHER]
    assert (third.label, third.request) == ('{"a":true,"b":1}', {"response_format": {"type": "json_object"}})


def test_rows_that_ask_otherwise_are_other_rows() -> None:
    plain, shaped = LabelledRow("a", "b"), LabelledRow("a", "b", request={"tools": [WEATHER]})
    assert plain.example().id != shaped.example().id
