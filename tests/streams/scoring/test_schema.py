"""Answers that must fit a schema: what is no schema is refused at the start, and nothing is ever fetched."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.schema import SchemaGrader, leaves_found

INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {"total": {"$ref": "#/$defs/money"}, "lines": {"type": "array"}},
    "required": ["total"],
    "additionalProperties": False,
    "$defs": {"money": {"type": "number", "minimum": 0}},
}
AT = "scoring.metrics.invoices.schema"


def grader(folder: Path, schema: object) -> SchemaGrader:
    path = folder / "schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return SchemaGrader(path, AT)


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ("{", "expected a file of JSON"),
        ("[1]", "it is no JSON object"),
        ({"type": "objekt"}, r"at \$\.type: 'objekt' is not valid"),
        ({"properties": {"a": {"minimum": "0"}}}, r"at \$\.properties\.a\.minimum"),
        ({"pattern": "("}, r"at \$\.pattern: '\(' is not a 'regex'"),
        ({"$ref": "#/$defs/lost"}, r"#/\$defs/lost is not there"),
        ({"items": {"$ref": "other.json"}}, r"other\.json is not there, and not fetched"),
        ({"$ref": "#/parts/n", "parts": {"n": {"$ref": "other.json"}}}, r"other\.json is not there, and not fetched"),
        ({"$ref": "#/parts/n", "parts": {"n": {"type": "objekt"}}}, r"at what #/parts/n refers to, \$\.type: 'objekt'"),
        ({"$ref": "#/parts/n", "parts": {"n": 5}}, r"at what #/parts/n refers to, \$: 5 is not of type"),
        ({"$schema": 7}, r"at \$\.\$schema: 7 is no address of a draft"),
        ({"$ref": "#"}, "refers to itself without an end"),
    ],
)
def test_what_is_no_schema_is_refused_with_file_and_place(tmp_path: Path, schema: object, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as raised:
        grader(tmp_path, schema)
    assert f"{AT} is '{tmp_path}/schema.json'" in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"schema is '.*lost\.json', expected a file that can be read: No such file"):
        SchemaGrader(tmp_path / "lost.json", AT)


def test_a_reference_to_another_address_is_never_fetched(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with pytest.raises(ValueError, match="is not there, and not fetched"):
            grader(tmp_path, {"$ref": url})
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_validity_and_then_the_share_of_the_truths_leaves(tmp_path: Path) -> None:
    invoices = grader(tmp_path, INVOICE)
    truth = '{"total": 12, "lines": ["Card", "Fee"]}'
    answers = {
        '{"lines": ["card", "fee"], "total": 12.0}': 1.0,
        '{"lines": ["card", "other"], "total": 1.2e1}': 2 / 3,
        '{"total": 13}': 0.0,
        '{"total": -12, "lines": ["Card", "Fee"]}': 0.0,  # does not fit
        '{"total": 12, "tip": 1}': 0.0,
        "Twelve.": 0.0,
        '{"total": NaN}': 0.0,
        "[" * 100_000: 0.0,
    }
    rows = [AnsweredRow({}, text, [], truth) for text in answers]
    assert await invoices.scores(rows) == pytest.approx(list(answers.values()))
    assert await invoices.scores([AnsweredRow({}, '{"total": 1}', [], each) for each in (None, "a text")]) == [1.0, 1.0]


@pytest.mark.parametrize(("number", "fits"), [("0.07", 1.0), ("19.99", 1.0), ("20", 1.0), ("2e1", 1.0), ("0.075", 0.0)])
async def test_a_fraction_is_the_number_that_is_written(tmp_path: Path, number: str, fits: float) -> None:
    """As floats, neither 0.07 nor 19.99 is a multiple of 0.01."""
    cents = grader(tmp_path, {"properties": {"total": {"multipleOf": 0.01, "minimum": 0.01}}})
    assert await cents.scores([AnsweredRow({}, f'{{"total": {number}}}', [])]) == [fits]


async def test_a_whole_number_may_be_written_with_a_fraction(tmp_path: Path) -> None:
    whole = grader(tmp_path, {"items": {"type": "integer"}})
    assert await whole.scores([AnsweredRow({}, text, []) for text in ("[1.0, 1e2]", "[1.5]")]) == [1.0, 0.0]


async def test_what_a_schema_cannot_decide_makes_no_answer_wrong(tmp_path: Path) -> None:
    """Only an answer with the key shows that the schema refers to itself without an end."""
    endless = grader(tmp_path, {"properties": {"a": {"$ref": "#/properties/a"}}})
    rows = [AnsweredRow({}, text, []) for text in ('{"a": 1}', '{"b": 1}')]
    assert await endless.scores(rows) == [Unjudged.TOO_LONG, 1.0]


@pytest.mark.parametrize(
    ("answer", "truth", "share"),
    [
        ("1e2", "100.0", 1.0),
        ("12345678901234567890", "12345678901234567891", 0.0),
        ("true", "1", 0.0),
        ('"5"', "5", 0.0),
        ("null", '"None"', 0.0),
        ("[]", "{}", 0.0),
        ('{"a": {}}', '{"a": {}}', 1.0),
        ("[2, 1]", "[1, 2]", 0.0),
        ('{"a": 1, "b": 2}', '{"a": 1}', 1.0),
    ],
)
def test_a_leaf_is_a_value_at_its_place(answer: str, truth: str, share: float) -> None:
    assert leaves_found(answer, truth) == share


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"pattern": "(a+)+$"}, r"'\(a\+\)\+\$' may take .* steps on 32 characters"),
        ({"properties": {"a": {"items": {"pattern": r"^(\w+\s?)*$"}}}}, "do not nest its repeats"),
        ({"patternProperties": {"(a|aa)+b": {}}, "additionalProperties": False}, "expected patterns that end soon"),
        ({"$ref": "#/parts/n", "parts": {"n": {"pattern": "(x*)*y"}}}, "expected patterns that end soon"),
        ({"pattern": r"(a)\1"}, "expected patterns without references to its groups"),
        ({"items": {"$schema": "http://json-schema.org/draft-04/schema#"}}, "expected one draft in all of it"),
    ],
)
def test_a_pattern_that_may_keep_everything_from_its_work_is_refused(tmp_path: Path, schema: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        grader(tmp_path, schema)


SLUG = "^[a-z0-9]+(-[a-z0-9]+)*$"
MAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"pattern": "a+b+c+$"}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "items": {"$ref": "#"}, "pattern": "a+b+c+$"},
        {"patternProperties": {"a+b+c+$": True}},
        {"patternProperties": {"a+b+c+$": True}, "additionalProperties": False},
        {"allOf": [{"patternProperties": {"a+b+c+$": True}}], "unevaluatedProperties": False},
    ],
)
async def test_an_answer_that_a_pattern_may_look_at_for_long_is_unjudged(tmp_path: Path, schema: Any) -> None:
    long = "a" * 20_000
    answer = json.dumps([long] if "items" in schema else {long: 1})
    assert await grader(tmp_path, schema).scores([AnsweredRow({}, answer, [])]) == [Unjudged.TOO_LONG]


async def test_patterns_as_schemas_have_them_judge_answers_as_they_are(tmp_path: Path) -> None:
    properties = {"slug": {"pattern": SLUG}, "mail": {"pattern": MAIL}, "day": {"pattern": r"^\d{4}-\d{2}-\d{2}$"}}
    names = {"patternProperties": {"^x-": True}, "additionalProperties": False}
    found = grader(tmp_path, {"properties": properties, **names})
    right = {"slug": "a-b2-" * 50 + "c", "mail": "ann@example.org", "day": "2026-12-01", "x-more": 1}
    wrong = [{"slug": "a--b"}, {"mail": "ann"}, {"day": "1.12.2026"}, {"y-more": 1}]
    assert await found.scores([AnsweredRow({}, json.dumps(each), []) for each in (right, *wrong)]) == [
        1.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ]


async def test_every_answer_has_the_whole_budget_and_many_texts_share_it(tmp_path: Path) -> None:
    found = grader(tmp_path, {"items": {"pattern": SLUG}})
    long = "a" * 1_000
    few, many = AnsweredRow({}, json.dumps([long] * 4), []), AnsweredRow({}, json.dumps([long] * 40), [])
    assert await found.scores([few] * 20 + [many, few]) == [1.0] * 20 + [Unjudged.TOO_LONG, 1.0]
