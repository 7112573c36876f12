"""Each harness' files are known by what is in them, and what cannot be read is named by file, line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retrain.harness.pairing import paired
from retrain.harness.samples import Reading
from tests.retrain.support.harness_files import WRITERS, inspect_log, inspect_zstandard, lines, lm_eval, plain

CHAMPION, CANDIDATE = [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_answers_are_the_same_pairs_whatever_wrote_them(name: str, tmp_path: Path) -> None:
    write = WRITERS[name]
    found = paired(write(tmp_path / "a", CHAMPION), write(tmp_path / "b", CANDIDATE), Reading())
    assert sorted(each.scores for each in found.rows) == [(0.0, 1.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)]


@pytest.mark.parametrize("metrics", [True, False])
def test_a_filter_of_several_is_part_of_the_score_s_name(metrics: bool, tmp_path: Path) -> None:
    sides = [
        lm_eval(tmp_path / str(i), scores, ("strict", "flexible"), metrics)
        for i, scores in enumerate((CHAMPION, CANDIDATE))
    ]
    with pytest.raises(ValueError, match="2 fields may be the score; name one with --score: exact_match,strict, "):
        paired(sides[0], sides[1], Reading())
    assert len(paired(sides[0], sides[1], Reading(score="exact_match,strict")).rows) == 4


def test_the_same_id_of_another_question_is_refused(tmp_path: Path) -> None:
    """Two tasks of lm-eval both count their questions from 0."""
    theirs = lm_eval(tmp_path / "a", CHAMPION)
    rows = [json.loads(line) for line in theirs.read_text().splitlines()]
    mine = lines(tmp_path / "b", [{**row, "doc_hash": f"other {i}" if i == 2 else "d"} for i, row in enumerate(rows)])
    with pytest.raises(ValueError, match=r"b, line 3: id '2' is another question than at .*a, line 3; expected"):
        paired(theirs, mine, Reading())
    logs = [inspect_log(CHAMPION), inspect_log(CHAMPION)]
    for log, draw in zip(logs, "xy", strict=True):
        for sample in log["samples"]:
            sample["input"] = [{"id": draw, "role": "user", "content": f"q {sample['id']}"}]
    for name, log in zip("cd", logs, strict=True):
        (tmp_path / name).write_text(json.dumps(log))
    assert len(paired(tmp_path / "c", tmp_path / "d", Reading()).rows) == len(CHAMPION)
    logs[1]["samples"][1]["input"][0]["content"] = "q else"
    (tmp_path / "d").write_text(json.dumps(logs[1]))
    with pytest.raises(ValueError, match="d, sample 's1', epoch 1: id 's1' is another question"):
        paired(tmp_path / "c", tmp_path / "d", Reading())


def test_a_column_of_texts_is_no_score(tmp_path: Path) -> None:
    """MLflow's table has the expectations next to the scorers' values."""
    table = [{"request": f"q{i}", "right/value": bool(i), "expected_response/value": f"a{i}"} for i in range(2)]
    (tmp_path / "a").write_text(json.dumps(table))
    assert paired(tmp_path / "a", tmp_path / "a", Reading()).metric == "right/value"


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = inspect_zstandard(tmp_path / "b", CHAMPION)
    path.write_bytes(path.read_bytes().replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfe", 1))
    with pytest.raises(ValueError, match=r"b: header.json: .*expected an Inspect log"):
        paired(path, path, Reading())


def test_the_first_row_that_differs_is_named(tmp_path: Path) -> None:
    sides = [plain(tmp_path / name, [1.0] * 20, unit=name) for name in "ab"]
    with pytest.raises(ValueError, match=r"b, line 1: unit is 'b', expected 'a' as at .*a, line 1"):
        paired(sides[0], sides[1], Reading())


def test_groups_are_fields_of_the_question(tmp_path: Path) -> None:
    sides = lm_eval(tmp_path / "a", CHAMPION), lm_eval(tmp_path / "b", CANDIDATE)
    found = paired(*sides, Reading(groups=["subject"]))
    assert sorted(each.groups["subject"] for each in found.rows) == ["art", "art", "law", "law"]


def test_epochs_of_a_question_are_one_row(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(json.dumps(inspect_log(CHAMPION, epochs=3)))
    found = paired(tmp_path / "a", tmp_path / "b", Reading(numbers={"tokens": 1e9}))
    assert [each.numbers["tokens"] for each in found.rows] == [(7.0, 7.0)] * 4


def test_rows_of_a_unit_are_one_row_with_their_mean(tmp_path: Path) -> None:
    sides = [plain(tmp_path / str(i), scores, unit="u") for i, scores in enumerate((CHAMPION, CANDIDATE))]
    assert [each.scores for each in paired(sides[0], sides[1], Reading()).rows] == [(0.75, 0.5)]


def test_scores_of_another_range_are_shares_of_it(tmp_path: Path) -> None:
    sides = [plain(tmp_path / str(i), scores) for i, scores in enumerate(([1.0, 5.0], [3.0, 4.0]))]
    found = paired(sides[0], sides[1], Reading(low=1.0, high=5.0))
    assert sorted(each.scores for each in found.rows) == [(0.5, 0.0), (0.75, 1.0)]


BAD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "twice": (
        [{"id": 0, "score": 1}, {"id": 0, "score": 1}],
        r"b, line 2: id '0' is there twice, first at .*a?b, line 1",
    ),
    "one more": ([{"id": i, "score": 1} for i in range(3)], r"b, line 3: id '2' is not in .*a; 1 ids of"),
    "one fewer": ([{"id": 0, "score": 1}], r"a, line 2: id '1' is not in .*b"),
    "no id": ([{"score": 1}, {"id": 1, "score": 1}], r"b, line 1: id is missing, expected a text or a number"),
    "no score": ([{"id": 0, "score": 1}, {"id": 1}], r"b, line 2: score is missing, expected a number"),
    "a word": ([{"id": 0, "score": "good"}], r"b, line 1: score is 'good', expected a number"),
    "too high": (
        [{"id": 0, "score": 1}, {"id": 1, "score": 1.5}],
        r"b, line 2: score is 1.5, expected a number from 0 to 1",
    ),
    "another part": ([{"id": 0, "score": 1, "part": "x"}], r"b, line 1: part is 'x', expected target or regression"),
    "another group": (
        [{"id": i, "score": 1, "group": "g"} for i in range(2)],
        r"b, line 1: groups is .*expected \{\} as at",
    ),
    "two scores": (
        [{"id": 0, "score": 1, "loss": 0}],
        "b: 2 fields may be the score; name one with --score: score, loss",
    ),
    "another score": ([{"id": i, "loss": 0} for i in range(2)], "b: the score is 'loss', expected 'score' as in"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_compared_is_named_by_file_line_and_field(name: str, tmp_path: Path) -> None:
    rows, message = BAD[name]
    champion = plain(tmp_path / "a", [1, 0])
    with pytest.raises(ValueError, match=message):
        paired(champion, lines(tmp_path / "b", rows), Reading())


TEXTS = {
    "": "b: is empty, expected rows",
    '{"id": 0, "score": NaN}\n': "b, line 1: .*expected a JSON object",
    '{"id": 0, "score": 1}\n[1]\n': r"b, line 2: is '\[1\]', expected a JSON object",
    "id,score\n0,nan\n": "b, line 2: score is 'nan', expected a number",
    "id,score\n0,1,2\n": "b, line 2: expected 2 fields",
    "id,score\n": "b: has no rows",
    '{"columns": ["id", "score"], "data": [[0]]}': "b, row 1: expected 2 values",
    "[1]": "b, row 1: expected a JSON object",
    "[" * 100_000 + "]" * 100_000: "b, line 1: maximum recursion depth .*expected a JSON object",
    json.dumps(inspect_log([1.0], status="error")): "b: status is 'error', expected 'success'",
    "PK\x03\x04 no zip": "b: File is not a zip file, expected an Inspect log; `inspect log convert --to json`",
    "PAR1 no table": "b: .*expected a Parquet file",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_text(text)
    with pytest.raises(ValueError, match=TEXTS[text]):
        paired(tmp_path / "b", tmp_path / "b", Reading())


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes('{"id": "ä"}'.encode("latin-1"))
    with pytest.raises(ValueError, match="b: byte 9 is not UTF-8"):
        paired(tmp_path / "b", tmp_path / "b", Reading())
