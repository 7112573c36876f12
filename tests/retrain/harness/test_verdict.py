"""Verdicts on files: the claims are the operator's, the tests those of the loop."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from retrain.harness.samples import Reading
from retrain.harness.verdict import Claims, FileVerdict, judged
from tests.retrain.support.harness_files import lines

READING = Reading()


def verdict(
    folder: Path, rows: list[tuple[Any, Any]], reading: Reading = READING, claims: Claims | None = None, **more: Any
) -> FileVerdict:
    """Of (champion's score, candidate's score) a row."""
    sides = [
        lines(folder / name, [{"id": i, "score": row[side], **more} for i, row in enumerate(rows)])
        for side, name in enumerate("ab")
    ]
    return judged(sides[0], sides[1], reading, claims or Claims())[0]


def test_better_is_promoted_worse_rejected_and_few_rows_do_not_tell(tmp_path: Path) -> None:
    found = [verdict(tmp_path, [pair] * count) for pair, count in (((0, 1), 40), ((1, 0), 40), ((0, 1), 2))]
    assert [each.status for each in found] == ["promote", "reject", "inconclusive"]
    assert (found[0].better, found[1].worse, found[0].rows) == (40, 40, 40)
    assert "more labels would settle it" in found[2].reason
    assert msgspec.json.decode(msgspec.json.encode(found[0]), type=FileVerdict) == found[0]


def test_not_worse_is_a_claim_of_its_own(tmp_path: Path) -> None:
    same = [(1, 1)] * 200
    assert verdict(tmp_path, same).status == "inconclusive"
    assert verdict(tmp_path, same, claims=Claims(margin=0.05)).status == "promote"


def test_margins_are_in_the_score_s_own_unit(tmp_path: Path) -> None:
    rows = [(3, 3.5), (3, 4.5)] * 60
    reading = Reading(low=1.0, high=5.0)
    statuses = [verdict(tmp_path, rows, reading, Claims(gain=gain)).status for gain in (0.5, 0.999, 1.5)]
    assert statuses == ["promote", "inconclusive", "reject"]
    found = verdict(tmp_path, rows, reading, Claims(gain=1.5))
    assert "score +1 on 120 rows, needs more than score +1.5" in found.reason
    assert (found.champion.score, found.candidate.score) == (3.0, 4.0)


def test_rows_of_the_part_regression_must_not_be_worse(tmp_path: Path) -> None:
    rows = [{"id": i, "part": "regression" if i % 2 else "target"} for i in range(80)]
    champion = lines(tmp_path / "a", [{**row, "score": i % 2} for i, row in enumerate(rows)])
    candidate = lines(tmp_path / "b", [{**row, "score": (i + 1) % 2} for i, row in enumerate(rows)])
    found, _ = judged(champion, candidate, READING, Claims())
    assert [(each.name, each.passed) for each in found.checks] == [("target", True), ("regression", False)]


def test_two_further_files_are_the_part_regression(tmp_path: Path) -> None:
    sides = [lines(tmp_path / str(score), [{"id": i, "score": score} for i in range(60)]) for score in (0, 1)]
    found, _ = judged(sides[0], sides[1], READING, Claims(), (sides[1], sides[0]))
    assert [(each.name, each.passed) for each in found.checks] == [("target", True), ("regression", False)]


def test_a_further_score_and_a_limit_are_checks_too(tmp_path: Path) -> None:
    def side(name: str, score: int, sold: float, tokens: int) -> Path:
        return lines(tmp_path / name, [{"id": i, "score": score, "sold": sold, "tokens": tokens} for i in range(80)])

    reading = Reading(numbers={"sold": 1.0, "tokens": math.inf})
    claims = Claims(also={"sold": 0.1}, limits={"tokens": 1.5})
    champion = side("a", 0, 0.5, 10)
    good = judged(champion, side("b", 1, 0.5, 12), reading, claims)[0]
    assert (good.status, [each.name for each in good.checks]) == ("promote", ["target", "sold", "tokens"])
    assert judged(champion, side("c", 1, 0.2, 10), reading, claims)[0].status == "reject"
    long = judged(champion, side("d", 1, 0.5, 20), reading, claims)[0]
    assert long.status == "reject"
    assert "tokens failed: 2.00 times on 80 rows, needs less than 1.50 times" in long.reason


def test_a_group_of_a_tenth_holds_back(tmp_path: Path) -> None:
    def side(name: str, score: int, others: int) -> Path:
        rows = [
            {"id": i, "score": score if i % 5 else others, "group": "de" if i % 5 == 0 else "en"} for i in range(200)
        ]
        return lines(tmp_path / name, rows)

    found, _ = judged(side("a", 0, 1), side("b", 1, 0), READING, Claims())
    assert (found.status, {each.name: each.passed for each in found.checks}["group=de"]) == ("reject", False)
