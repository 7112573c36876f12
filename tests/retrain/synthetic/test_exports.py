"""Files of other tools: their columns, their damage, rows that no model takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrain.data.admission import LONGEST, TOO_LONG
from retrain.data.example import SYNTHETIC
from retrain.synthetic import exports
from retrain.synthetic.exports import ExportedRows, framed, read
from streams.messages import Message
from tests.retrain.support.tickets import ticket

ROWS = [{"prompt": f"Where is order {i}?", "label": "order", "lang": "en", "score": 0.5 + i} for i in range(3)]


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def taken(path: Path, **named: str) -> ExportedRows:
    return read(path, "gretel", named, {"licence": "own"})


@pytest.mark.parametrize("name", ["made.csv", "made.parquet", "made.jsonl"])
def test_each_form_gives_the_same_rows_with_their_origin(tmp_path: Path, name: str) -> None:
    found = read(written(tmp_path / name, ROWS), "gretel", {"tag.language": "lang"}, {"licence": "own"})
    assert [row.text for row in found.rows] == [row["prompt"] for row in ROWS]
    for row in found.rows:
        assert (row.completion, row.source, row.by) == ("order", SYNTHETIC, "synthetic/gretel")
        assert (row.tags, row.about) == ({"licence": "own", "language": "en"}, "")
    assert found.unused == ["score"]
    lines = taken(written(tmp_path / "again.jsonl", ROWS), **{"tag.language": "lang"})
    assert [row.id for row in lines.rows] == [row.id for row in found.rows]


def test_chats_stay_chats_and_plain_texts_are_asked_as_real_rows_are(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is it?"}]
    rows = [{"messages": json.dumps(chat), "label": "Order"}, {"messages": "And mine?", "label": "ORDER"}]
    found = taken(written(tmp_path / "made.jsonl", rows)).rows
    system = Message("system", "Answer with a label.")
    real = [ticket("a", "", "order", messages=[system, Message("user", "When?")], request={"n": 1})]
    one, other = framed(found, real)
    assert one.messages == [Message("system", "Be kind."), Message("user", "Where is it?")]
    assert (other.messages, other.request) == ([system, Message("user", "And mine?")], {"n": 1})
    assert (one.completion, other.completion) == ("order", "order")


def test_of_a_chat_without_a_column_for_the_answer_the_last_message_is_it(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Where"}, {"type": "text", "text": "is it?"}]
    asked, answered = {"role": "user", "content": parts}, {"role": "assistant", "content": "order"}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    rows = [{"messages": each} for each in ([asked, answered], [asked], [image, answered], [{"role": "user"}])]
    found = taken(written(tmp_path / "made.jsonl", rows))
    assert [(row.messages, row.completion) for row in found.rows] == [([Message("user", "Where\nis it?")], "order")]
    assert dict(found.refused) == {exports.EMPTY: 1, exports.NO_CHAT: 2}


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    path.write_text("prompt,prompt,label\nWhere is it?,What?,order\n")
    with pytest.raises(ValueError, match=r"made.csv: the column 'prompt' is there twice, expected each once"):
        taken(path)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"request": "query"}, "no column 'query' for request, expected one of prompt, label, lang, score"),
        ({"tag.language": "tongue"}, "no column 'tongue' for tag.language"),
        ({"truth": "label"}, "--column truth=label: expected request, answer or tag.NAME"),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path: Path, named: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        taken(written(tmp_path / "made.csv", ROWS), **named)


def test_columns_of_other_names_have_to_be_named(tmp_path: Path) -> None:
    path = written(tmp_path / "made.csv", [{"utterance": "Where?", "intent": "order"}])
    with pytest.raises(ValueError, match=r"which column is the request\? Name it: --column request=COLUMN, of utter"):
        taken(path)
    assert len(taken(path, request="utterance", answer="intent").rows) == 1


@pytest.mark.parametrize("name", ["made.csv", "made.parquet", "made.jsonl"])
def test_a_row_of_100_megabytes_is_left_out_and_the_others_stay(tmp_path: Path, name: str) -> None:
    big = {**ROWS[0], "prompt": "x" * 100_000_000}
    found = taken(written(tmp_path / name, [ROWS[0], big, ROWS[1]]))
    assert (len(found.rows), found.refused[TOO_LONG]) == (2, 1)
    assert max(len(row.text) for row in found.rows) < LONGEST


def test_lines_that_are_no_json_and_empty_rows_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "made.jsonl", [*ROWS, {**ROWS[0], "label": " "}, {"prompt": None, "label": "order"}])
    path.write_text(path.read_text() + '{"prompt": "Wher\n[1]\n')
    found = taken(path)
    assert (len(found.rows), dict(found.refused)) == (3, {exports.EMPTY: 2, exports.NO_OBJECT: 2})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("made.csv", b"prompt,label\nWhere,order,more\n", "line 2: not as many fields as columns"),
        ("made.csv", b'prompt,label\n"Where,order\n', "expected CSV in UTF-8"),
        ("made.csv", b"prompt,label\n\xff\xfe,order\n", "expected CSV in UTF-8"),
        ("made.parquet", b"PAR1 and no more", "expected a whole Parquet file"),
        ("made.txt", b"<html>", "begins with b'<htm', expected JSON lines, Parquet, or a file named .csv"),
        ("made.jsonl", b"", "expected JSON lines"),
        ("made.csv", b"", "no row can be used"),
        ("made.jsonl", b'{"prompt": "", "label": ""}\n', "no row can be used, expected some .1 with no text"),
    ],
)
def test_a_damaged_file_is_named_with_its_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        taken(path)
