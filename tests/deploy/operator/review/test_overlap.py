"""Agreement of reviewers, and spot checks that name who errs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from deploy.operator.review import overlap
from deploy.operator.review.overlap import SpotChecked, agreement, known_answers, spot_checks
from streams.topics import FEEDBACK
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import feedback, served


def test_alpha_is_krippendorffs() -> None:
    """The nominal example with missing data of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011)."""
    columns = {"a": "123321412...", "b": "1233224125.3", "c": ".3332342251.", "d": "12332441251."}
    rows = [(who, str(i), value) for who, values in columns.items() for i, value in enumerate(values) if value != "."]
    found = agreement(rows)
    assert found.replies == 11
    assert found.alpha == pytest.approx(0.743, abs=5e-4)


def test_each_pair_is_counted_on_what_both_labelled() -> None:
    rows = [
        ("ann", "1", "x"),
        ("bob", "1", "x"),
        ("carl", "1", "y"),
        ("ann", "2", "y"),
        ("bob", "2", "y"),
        ("carl", "3", "y"),
    ]
    found = agreement(rows)
    assert {each.pair: (each.replies, each.equal) for each in found.pairs} == {
        ("ann", "bob"): (2, 2),
        ("ann", "carl"): (1, 0),
        ("bob", "carl"): (1, 0),
    }
    assert agreement([("ann", "1", "x")]).alpha is None
    assert next(iter(found.lines())).startswith("2 replies labelled by two or more people, alpha 0.")


def test_the_last_label_of_a_person_counts_and_scores_are_none(tmp_path: Path) -> None:
    lake, reply = at(tmp_path / "lake"), served("support", 1)
    bare = msgspec.structs.replace(feedback(reply, True), by="ann", source="reviewer")
    put(
        lake,
        FEEDBACK,
        [
            msgspec.structs.replace(bare, id="1", label="old"),
            msgspec.structs.replace(bare, id="2", label="New.", time_ms=bare.time_ms + 1),
            msgspec.structs.replace(bare, id="3", label=None, score=0.5, by="bob"),
            msgspec.structs.replace(bare, id="4", label="x", by="app", source="client"),
        ],
    )
    assert sorted(overlap.labels(lake, "support", 0)) == [("ann", reply.id, "new"), ("app", reply.id, "x")]
    assert overlap.labels(lake, "support", 0, reviewers=True) == [("ann", reply.id, "new")]
    assert overlap.answered(lake, "support", 0, "bob") == {reply.id}


def test_an_answer_is_known_where_two_others_agree_and_none_differs() -> None:
    rows = [
        ("ann", "1", "x"),
        ("bob", "1", "x"),
        ("ann", "2", "x"),
        ("bob", "2", "y"),
        ("ann", "3", "x"),
        ("carl", "3", "x"),
    ]
    assert known_answers(rows, "carl") == {"1": "x"}
    assert known_answers(rows, "bob") == {"3": "x"}


def test_spot_checks_count_once_and_are_by_the_ledger() -> None:
    given = msgspec.structs.replace(feedback(served("support", 1), True), by="carl", label="Loan")
    hit, miss = overlap.check(given, "loan"), overlap.check(given, "card")
    assert (hit.output["hit"], miss.output["hit"]) == (True, False)
    assert "Loan" not in str(msgspec.to_builtins(hit)), "no text stands in the ledger"
    assert spot_checks([hit, miss], "support") == [SpotChecked("carl", 1, 1, None)], "the first answer counts"
    assert overlap.checked([hit], "support", "carl") == {given.event_id}
    assert spot_checks([hit], "other") == []


def test_who_is_far_below_is_named_and_who_is_as_good_as_the_others_hardly_ever() -> None:
    """60 checks each, 2,000 times: others right in 95 of 100."""
    rng = np.random.default_rng(3)

    def named(rate: float) -> float:
        hits = rng.binomial(60, rate, 2_000)
        return float(np.mean([SpotChecked("x", int(each), 60, 0.95).far_below for each in hits]))

    assert named(0.95) == 0.0
    assert named(0.85) <= 0.01, "within the slack"
    assert named(0.60) >= 0.95
    assert not SpotChecked("new", 0, 1, 0.95).far_below
