"""The fidelity report finds what is wrong with synthetic rows, and nothing where they are as real ones."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from deploy.show.fidelity import render
from retrain.data.example import SYNTHETIC, Example
from retrain.synthetic.fidelity import FidelityReport, measured
from tests.retrain.support.tickets import tickets

REAL, HELD_BACK = tickets(1, 250), tickets(3, 200)
OTHERS = [replace(row, source=SYNTHETIC, by="synthetic/m") for row in tickets(2, 250, prefix="~")]


def report(rows: list[Example]) -> FidelityReport:
    return measured(REAL, rows, HELD_BACK)


def learned(found: FidelityReport) -> dict[str, float]:
    return {each.learned_from: each.right / each.of for each in found.scores}


def test_rows_of_the_same_world_are_faithful() -> None:
    found = report(OTHERS)
    assert (found.real, found.synthetic, found.origins, found.unknown) == (250, 250, {"m": 250}, [])
    assert found.label_gap < 0.1
    scores = learned(found)
    assert set(scores) == {"real rows", "synthetic rows", "real and synthetic rows"}
    assert scores["synthetic rows"] > scores["real rows"] - 0.1
    assert found == report(list(OTHERS))


def test_rows_that_repeat_real_ones_are_found() -> None:
    copies = [replace(row, source=SYNTHETIC, by="synthetic/m") for row in REAL]
    found = report(copies)
    assert (found.copied, found.too_near) == (250, 1.0)
    assert report(OTHERS).too_near < 0.3


def test_wrong_labels_show_in_what_is_learned() -> None:
    labels = sorted({row.completion for row in OTHERS})
    wrong = [replace(row, completion=labels[(labels.index(row.completion) + 1) % len(labels)]) for row in OTHERS]
    assert learned(report(wrong))["synthetic rows"] < 0.2


def test_a_label_and_a_group_that_are_missing_show() -> None:
    some = [row for row in OTHERS if row.completion != OTHERS[0].completion]
    found = report([replace(row, tags={"tier": "gold"}) for row in some])
    assert found.label_gap > 0.1
    assert found.group_gap == 1.0
    assert {each.name: each.synthetic for each in found.labels}[OTHERS[0].label] == 0


def test_a_group_s_share_is_of_all_rows_whatever_other_tags_they_have() -> None:
    tagged = [replace(row, tags={"language": "en", "licence": "own"}) for row in REAL]
    half = [
        replace(row, tags={"licence": "own"} | ({"language": "en"} if place % 2 else {}))
        for place, row in enumerate(OTHERS)
    ]
    found = measured(tagged, half, HELD_BACK)
    assert [(each.name, each.real, each.synthetic) for each in found.groups] == [
        ("language=en", 250, 125),
        ("no language", 0, 125),
        ("licence=own", 250, 250),
    ]
    assert found.group_gap == 0.5
    assert "250 (100%)" in render(found, "support")


def test_fewer_synthetic_rows_are_compared_with_as_many_real_ones() -> None:
    scores = {each.learned_from: each.rows for each in report(OTHERS[:100]).scores}
    assert (scores["as many real rows"], scores["synthetic rows"], scores["real rows"]) == (100, 100, 250)
    more = {each.learned_from: each.rows for each in measured(REAL[:100], OTHERS, HELD_BACK).scores}
    assert (more["as many synthetic rows"], more["synthetic rows"]) == (100, 250)


def test_what_cannot_be_compared_is_named() -> None:
    free = [replace(row, completion=f"We look at this: {row.text}") for row in REAL]
    assert measured(free, OTHERS, HELD_BACK).unknown == ["labels and what is learned: the answers are free text"]
    few = measured(REAL, OTHERS, HELD_BACK[:3])
    assert few.unknown == ["what is learned: 3 labelled real rows were held back, expected 10"]
    with pytest.raises(ValueError, match="250 real and 0 synthetic rows, expected some of each"):
        measured(REAL, [], HELD_BACK)


def test_no_text_of_a_row_is_in_it() -> None:
    text = msgspec.json.encode(report(OTHERS)).decode()
    assert not any(row.text in text for row in (*REAL, *OTHERS, *HELD_BACK))
