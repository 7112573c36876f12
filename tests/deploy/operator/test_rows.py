from __future__ import annotations

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
        ("[1, 2]", ["line 2", "[1, 2] is not an object"]),
        ('{"text": "a", "lable": "b"}', ["line 2", 'field "label" is missing', "'lable'"]),
        ('{"text": "a", "label": 3}', ["line 2", 'field "label" is 3', "expected a text"]),
        ('{"text": "  ", "label": "b"}', ["line 2", 'field "text" is', "not empty"]),
        ('{"text": "\\ud800", "label": "b"}', ["line 2", "not JSON"]),
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
