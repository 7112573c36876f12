"""The card's figures, by hand on small data, and of each group."""

from __future__ import annotations

import pytest
from sklearn.metrics import f1_score

from retrain.card.measures import kind_of, measured
from retrain.evaluation.evaluate import EngineAnswer
from retrain.evaluation.pairs import AskedRow
from tests.retrain.support.rows import row


def asked(number: int, truth: str, mine: str, theirs: str = "", **tags: str) -> AskedRow:
    answers = EngineAnswer(mine, tokens=number + 1, ms=10.0 * (number + 1)), EngineAnswer(theirs, cut=True)
    return AskedRow(row(number, truth, tags=tags), *answers, (float(mine == truth), float(theirs == truth)))


def test_classes_have_a_score_each_and_answers_that_are_none_are_wrong() -> None:
    truths = ["late"] * 6 + ["refund"] * 3
    mine = ["late"] * 4 + ["refund", "Sorry!", "Refund.", "refund", "late"]
    found = measured([asked(n, *pair) for n, pair in enumerate(zip(truths, mine, strict=True))])
    late, refund = found.labels["candidate"]
    assert (found.kind, late.label, late.rows, refund.rows) == ("classes", "late", 6, 3)
    assert [late.precision, late.recall] == pytest.approx([0.8, 4 / 6], abs=1e-4)
    assert [refund.precision, refund.recall] == pytest.approx([2 / 3, 2 / 3], abs=1e-4)
    whole = found.whole.candidate
    coded = [{"sorry!": "sorry"}.get(each.lower(), each.lower().rstrip(".")) for each in mine]
    macro = f1_score(truths, coded, labels=["late", "refund"], average="macro")
    assert whole["macro_f1"] == pytest.approx(macro, abs=1e-4)
    assert found.whole.champion["macro_f1"] == 0.0
    assert (whole["tokens_median"], whole["latency_ms_median"], whole["cut_share"]) == (5.0, 50.0, 0.0)
    assert found.whole.champion["cut_share"] == 1.0
    assert "tokens_median" not in found.whole.champion


def test_sets_are_scored_by_label_and_by_row() -> None:
    pairs = [('["late", "refund"]', "refund, late"), ('["late"]', '["late", "lost"]'), ("[]", "[]")]
    found = measured([asked(n, *pair) for n, pair in enumerate(pairs)])
    scores = {each.label: each for each in found.labels["candidate"]}
    assert found.kind == "sets"
    assert (scores["late"].recall, scores["refund"].f1) == (1.0, 1.0)
    assert found.whole.candidate["macro_f1"] == 1.0
    assert found.whole.candidate["micro_precision"] == 0.75
    assert found.whole.candidate["set_f1"] == pytest.approx((1 + 2 / 3 + 1) / 3, abs=1e-4)


def test_free_text_has_overlap_and_tone_and_no_labels() -> None:
    rows = [asked(n, f"Parcel {n} is on its way to you today.", f"parcel {n} is on its way!!") for n in range(9)]
    found = measured(rows)
    assert (found.kind, found.labels) == ("text", {})
    assert found.whole.candidate["formality"] == 0.0
    assert 0.5 < found.whole.candidate["rouge_l"] < 1.0
    assert found.whole.candidate["readability_lix"] < 30
    assert kind_of(['{"a": 1}', '{"b": 2}', '{"c": 3}']) == "JSON"


def test_each_group_has_all_figures() -> None:
    rows = [asked(n, "ab"[n % 2], "a", language="de" if n < 6 else "en") for n in range(12)]
    groups = measured(rows).groups
    assert {name: each.rows for name, each in groups.items()} == {"language=de": 6, "language=en": 6}
    assert groups["language=de"].candidate.keys() == measured(rows).whole.candidate.keys()
    assert groups["language=en"].candidate["score"] == 0.5


def test_no_rows_have_no_figures() -> None:
    assert measured([]).whole.candidate == {}
