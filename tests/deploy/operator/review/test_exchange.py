"""Items go to other tools and answers come back, in the JSON that these document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.operator.review.answers import ReviewAnswer
from deploy.operator.review.exchange.forms import FORMS, answers
from deploy.operator.review.queue import ReviewItem

ITEMS = [
    ReviewItem(id=f"019-{i}", question=f"Wo ist “mein” Geld {i}?\nBitte", answer="card", why=["unsure: -2.1"])
    for i in range(4)
]
ANSWERS = [
    ReviewAnswer("019-0", "accept"),
    ReviewAnswer("019-1", "correct", text="loan"),
    ReviewAnswer("019-2", "score", score=0.7),
]


def jsonl(data: bytes) -> bytes:
    rows = [json.loads(line) for line in data.splitlines()]
    for row, answer in zip(rows, ANSWERS, strict=False):
        row |= {"verdict": answer.verdict, "text": answer.text, "score": answer.score}
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def argilla(data: bytes) -> bytes:
    """As `dataset.records.to_json` has what two people responded."""
    records = json.loads(data)
    for record in records:
        assert record["status"] == "pending"
        record |= {"status": "completed", "_server_id": "b2", "vectors": {}}
    given: list[dict[str, Any]] = [{"verdict": "accept"}, {"correction": "loan"}, {"score": 7}]
    for record, marks in zip(records, given, strict=False):
        record["responses"] = {
            name: [{"value": value, "user_id": "u1", "status": "submitted"}] for name, value in marks.items()
        }
    records[3]["responses"] = {"verdict": [{"value": "accept", "user_id": "u2", "status": "draft"}]}
    return json.dumps(records, indent=1).encode()


def label_studio(data: bytes) -> bytes:
    """As the JSON export has them."""
    tasks = json.loads(data)
    values: list[tuple[str, str, dict[str, Any]]] = [
        ("verdict", "choices", {"choices": ["accept"]}),
        ("correction", "textarea", {"text": ["loan"]}),
        ("score", "rating", {"rating": 7}),
        ("verdict", "choices", {"choices": ["wrong"]}),
    ]
    for i, (task, (name, kind, value)) in enumerate(zip(tasks, values, strict=True)):
        region = {"id": "x1", "from_name": name, "to_name": "answer", "type": kind, "value": value, "origin": "manual"}
        annotation = {"id": i, "completed_by": 1, "result": [region], "was_cancelled": i == 3, "lead_time": 3.2}
        task |= {"id": i, "annotations": [annotation], "predictions": [], "project": 1, "total_annotations": 1}
    return json.dumps(tasks, indent=1).encode()


def langfuse(data: bytes) -> bytes:
    """As the scores' API has them."""
    traces = [each["body"] for each in json.loads(data)["batch"] if each["type"] == "trace-create"]
    marks: list[dict[str, Any]] = [
        {"name": "verdict", "value": 1, "stringValue": "True", "dataType": "BOOLEAN"},
        {"name": "correction", "value": 0, "stringValue": "loan", "dataType": "CATEGORICAL"},
        {"name": "score", "value": 0.7, "dataType": "NUMERIC"},
        {"name": "score", "value": 0.1, "dataType": "NUMERIC", "source": "EVAL"},
    ]
    scores = [
        {
            "id": f"s{i}",
            "traceId": trace["id"],
            "source": "ANNOTATION",
            "authorUserId": "u1",
            "environment": "default",
            **mark,
        }
        for i, (trace, mark) in enumerate(zip(traces, marks, strict=True))
    ]
    return json.dumps({"data": scores, "meta": {"page": 1, "limit": 50, "totalItems": 4, "totalPages": 1}}).encode()


FILLED: dict[str, Callable[[bytes], bytes]] = {
    "jsonl": jsonl,
    "argilla": argilla,
    "label-studio": label_studio,
    "langfuse": langfuse,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_round_trip_keeps_ids_and_answers(form: str) -> None:
    data = FORMS[form].written(ITEMS, "support")
    assert all(each.id.encode() in data and b"unsure: -2.1" in data for each in ITEMS)
    assert json.dumps(ITEMS[0].question)[1:-1].encode() in data or ITEMS[0].question.splitlines()[0].encode() in data
    found = FORMS[form].read(FILLED[form](data))
    assert [(each.id, each.verdict, each.text, each.score) for each in found] == [
        (each.id, each.verdict, each.text, each.score) for each in ANSWERS
    ]
    assert {each.by for each in found} == {{"jsonl": "", "label-studio": "1"}.get(form, "u1")}


@pytest.mark.parametrize("form", FORMS)
def test_an_editor_s_mark_at_the_beginning_changes_nothing(form: str) -> None:
    data = FILLED[form](FORMS[form].written(ITEMS, "support"))
    assert FORMS[form].read(b"\xef\xbb\xbf" + data) == FORMS[form].read(data)


@pytest.mark.parametrize("form", FORMS)
def test_an_export_in_which_nobody_answered_has_no_answers(form: str) -> None:
    data = FORMS[form].written(ITEMS, "support")
    empty = b'{"data": [], "meta": {}}' if form == "langfuse" else data
    assert FORMS[form].read(empty) == []


BROKEN: list[tuple[str, Callable[[str], str], str]] = [
    ("jsonl", lambda text: text.replace('"verdict": "correct"', '"verdikt": "correct"'), r"line 2: .*`verdikt`"),
    ("jsonl", lambda text: text.replace('"correct"', '"maybe"'), "line 2: verdict is 'maybe'"),
    ("jsonl", lambda text: text.replace("0.7", '"much"'), r"line 3: Expected `float.*\$.score"),
    ("argilla", lambda text: text.replace('"_server_id"', '"server"', 1), r"line 2, record 1: .*`server`"),
    ("argilla", lambda text: text.replace('"score": [', '"stars": ['), "record 3: responses.stars is not known"),
    ("argilla", lambda text: text.replace('"value": 7', '"value": 70'), "record 3: responses.score is 70"),
    ("argilla", lambda text: text.replace('"accept"', '"yes"', 1), "record 1: responses.verdict is 'yes'"),
    ("label-studio", lambda text: text.replace('"lead_time"', '"lead"', 1), r"task 1: .*`lead` - at `\$.annotations"),
    ("label-studio", lambda text: text.replace('"from_name": "score"', '"from_name": "stars"'), "from_name is 'stars'"),
    ("label-studio", lambda text: text.replace('"rating": 7', '"rating": 70'), "task 3: score is 7.0"),
    ("langfuse", lambda text: text.replace('"environment"', '"env"', 1), r"line 1, score 1: .*`env`"),
    ("langfuse", lambda text: text.replace('"name": "score"', '"name": "stars"', 1), "score 3: name is 'stars'"),
    ("langfuse", lambda text: text.replace('"value": 1,', '"value": 3,', 1), "score 1: value is 3"),
    ("argilla", lambda text: "{", "expected a JSON array of records"),
    ("argilla", lambda text: "[" * 100_000, "recursion.*expected a JSON array of records"),
    ("label-studio", lambda text: "[" * 100_000, "recursion.*expected a JSON array of tasks"),
    ("label-studio", lambda text: text.replace('"accept"', '"accept", "wrong"', 1), "choices is 'accept and wrong'"),
]


@pytest.mark.parametrize(("form", "broken", "error"), BROKEN)
def test_what_is_wrong_is_named_with_file_line_and_field(
    tmp_path: Path, form: str, broken: Callable[[str], str], error: str
) -> None:
    good = FILLED[form](FORMS[form].written(ITEMS, "support")).decode()
    path = tmp_path / "export.json"
    path.write_text(broken(good))
    assert path.read_text() != good
    with pytest.raises(ValueError, match=f"export.json: .*{error}"):
        answers(form, path)
