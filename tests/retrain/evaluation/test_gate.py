"""The gate: what is not proven is not promoted, and the verdict can be derived again."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from retrain.evaluation.checks import Scores
from retrain.evaluation.gate import UNJUDGED_ALONE, GateInput, GateVerdict, judge, short_of_labels
from retrain.settings import RetrainSettings

SAME: Scores = [(1.0, 1.0)] * 100
BETTER: Scores = [(1.0, 0.0)] * 30 + [(1.0, 1.0)] * 20
WORSE: Scores = [(0.0, 1.0)] * 40


def asked(target: Scores = BETTER, regression: Scores = SAME, **changes: object) -> GateInput:
    given = {
        "candidate": "new",
        "champion": "old",
        "target": target,
        "regression": regression,
        "min_gain": 0.05,
        "margin": 0.1,
        "slice_margin": 0.25,
        "min_slice": 30,
        "alpha": 0.05,
        **changes,
    }
    return GateInput(**given)  # type: ignore[arg-type]


def test_a_clear_gain_without_loss_is_promoted() -> None:
    verdict = judge(asked())
    assert verdict.status == "promote"
    assert [(check.name, check.passed) for check in verdict.checks] == [("target", True), ("regression", True)]
    target = verdict.checks[0]
    assert target.low <= target.estimate <= target.high
    assert all(check.low >= check.needed - 1e-3 for check in verdict.checks)
    assert target.rows == 50


@pytest.mark.parametrize("target", [[], [(1.0, 0.0)] * 3, SAME, [(1.0, 0.0), (0.0, 1.0)] * 15])
def test_inconclusive_never_promotes(target: Scores) -> None:
    assert judge(asked(target)).status != "promote"


def test_the_interval_shown_and_the_test_agree() -> None:
    """The picture shows why a check passed, failed or stayed open."""
    for lost in range(0, 40, 2):
        regression: Scores = [(0.0, 1.0)] * lost + [(1.0, 1.0)] * (120 - lost)
        check = judge(asked(regression=regression)).checks[1]
        shown = True if check.low > check.needed else False if check.high < check.needed else None
        assert check.passed is shown


def test_no_rows_are_no_evidence() -> None:
    verdict = judge(asked([], []))
    assert verdict.status == "inconclusive"
    assert "no rows of the healthy time" in verdict.reason


def test_a_gain_here_does_not_buy_a_loss_there() -> None:
    verdict = judge(asked(regression=WORSE))
    assert verdict.status == "reject"
    assert "regression failed" in verdict.reason


def test_too_few_regression_rows_hold_a_winner_back() -> None:
    assert judge(asked(regression=SAME[:5])).status == "inconclusive"


def test_a_group_that_loses_is_a_rejection() -> None:
    verdict = judge(asked(slices={"language=de": WORSE, "language=en": BETTER}))
    assert verdict.status == "reject"
    assert "language=de failed" in verdict.reason


def test_groups_of_few_among_many_are_looked_at_together_and_named() -> None:
    many: Scores = [(1.0, 0.0)] * 300
    verdict = judge(asked(many, slices={"language=de": SAME[:19], "language=fr": SAME[:9], "tenant=a": SAME}))
    assert [check.name for check in verdict.checks] == ["target", "regression", "tenant=a", "language: other"]
    other = verdict.checks[-1]
    assert (other.rows, other.holds_back, verdict.status) == (28, False, "promote")
    assert verdict.reason.endswith("small groups, looked at together: language=de (19), language=fr (9)")


@pytest.mark.parametrize("lost", [29, 30])
def test_a_group_of_few_that_loses_ends_a_candidate_together_or_alone(lost: int) -> None:
    """29 by their tag's other; of 30 among as many that win, the mean hides nothing."""
    many: Scores = [(1.0, 0.0)] * 400
    others = {"language=fr": many[:lost]} if lost == 30 else {}
    verdict = judge(asked(many, slices={"language=de": WORSE[:lost], **others}))
    assert verdict.status == "reject"
    assert ("language=de failed" if lost == 30 else "language: other failed") in verdict.reason


def test_a_tenth_is_one_of_both_parts_together() -> None:
    """At first a group that the fresh rows lack was not looked at, whatever it lost of what it could do."""
    few = {"language=de": [(1.0, 1.0)] * 6}
    assert judge(asked(BETTER[:30], SAME[:30], slices=few)).checks[2].holds_back
    assert not judge(asked(BETTER[:30], SAME, slices=few)).checks[2].holds_back


@pytest.mark.parametrize("rows", [WORSE[:29], [*SAME[:5], (0.0, 1.0)] * 3, []])
def test_a_tenth_of_the_rows_or_a_group_without_one_holds_back_until_it_tells(rows: Scores) -> None:
    """At first 29 rows of 50, all of them lost, were too few to be looked at."""
    assert judge(asked(BETTER, slices={"language=de": rows})).status != "promote"


NAN = float("nan")


@pytest.mark.parametrize("target", [[], [(0.0, 0.0)] * 400, [(NAN, 0.0)] * 400, [*BETTER, (NAN, 1.0)]])
@pytest.mark.parametrize("regression", [[], [(0.0, 0.0)] * 400, [(1.0, NAN)] * 400, [*SAME, (1.0, 2.0)], SAME])
def test_nothing_to_judge_on_is_inconclusive(target: Scores, regression: Scores) -> None:
    verdict = judge(asked(target, regression))
    assert verdict.status == "inconclusive"
    assert verdict.checks[0].passed is None
    msgspec.json.decode(msgspec.json.encode(verdict), type=GateVerdict)


@pytest.mark.parametrize("regression", [[], [(0.0, 0.0)] * 400, [(1.0, NAN)] * 400, [*SAME, (1.0, 2.0)]])
def test_a_winner_with_nothing_to_lose_it_on_is_inconclusive(regression: Scores) -> None:
    """At first a candidate was promoted where no rows of the healthy time were left."""
    verdict = judge(asked(regression=regression))
    assert verdict.status == "inconclusive"
    assert verdict.checks[1].passed is None
    assert "the healthy time are left" in verdict.reason or "regression: " in verdict.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cut_candidate": 16}, "16 of 150 answers of the candidate ended at their limit of tokens, at most 10% may"),
        ({"cut_champion": 150}, "150 of 150 answers of the champion ended at their limit"),
        (
            {"left_out": {UNJUDGED_ALONE: 17}},
            "the candidate's answer alone could not be judged on 17 of 167 rows, at most 10% may",
        ),
        ({"left_out": {"a tool's answer": 151}}, "151 of 301 rows could not be asked, at most 50% may"),
    ],
)
def test_answers_cut_or_rows_left_out_in_number_are_no_ground_for_a_verdict(changes: dict[str, Any], why: str) -> None:
    verdict = judge(asked(**changes))
    assert verdict.status == "inconclusive"
    assert verdict.reason.startswith(why)


@pytest.mark.parametrize("changes", [{"cut_candidate": 90}, {"left_out": {"refused": 900}}])
def test_answers_that_could_not_be_measured_lack_more_than_labels(changes: dict[str, Any]) -> None:
    assert short_of_labels(asked(BETTER[:3], []))
    assert not short_of_labels(asked(BETTER[:3], [], **changes))


def test_a_few_of_them_are_told_with_the_verdict() -> None:
    verdict = judge(asked(cut_candidate=2, left_out={"the template refuses the role 'tool'": 3}))
    assert verdict.status == "promote"
    assert "3 rows left out: the template refuses the role 'tool'" in verdict.reason
    assert "answers cut at their limit: candidate 2, champion 0" in verdict.reason


def test_the_verdict_is_derived_again_bit_for_bit() -> None:
    gate = asked(slices={"tenant=a": BETTER})
    again = msgspec.json.decode(msgspec.json.encode(gate), type=GateInput)
    assert msgspec.json.encode(judge(again)) == msgspec.json.encode(judge(gate))


@pytest.mark.slow
def test_a_candidate_that_is_no_better_is_seldom_promoted() -> None:
    """Type I error: a true gain of exactly `min_gain` passes with probability at most alpha."""
    rng = random.Random(3)
    passed = 0
    for _ in range(300):
        draws = [rng.random() for _ in range(120)]
        target: Scores = [(1.0, 0.0) if x < 0.25 else (0.0, 1.0) if x < 0.45 else (1.0, 1.0) for x in draws]
        passed += judge(asked(target)).status == "promote"
    assert passed / 300 <= 0.08


def power(loses: float, wins: float, rows: int) -> float:
    """How often `rows` of the healthy time suffice to show that a candidate is not worse by ten points."""
    rng = random.Random(5)
    passed = 0
    for _ in range(100):
        draws = [rng.random() for _ in range(rows)]
        scores: Scores = [(0.0, 1.0) if x < loses else (1.0, 0.0) if x < loses + wins else (1.0, 1.0) for x in draws]
        passed += judge(asked(regression=scores)).status == "promote"
    return passed / 100


@pytest.mark.slow
def test_the_default_rows_suffice_for_a_candidate_that_forgot_little() -> None:
    """With 80 rows a good candidate was held back two times out of three."""
    assert power(0.03, 0.01, RetrainSettings().regression_rows) >= 0.9
    assert power(0.12, 0.02, RetrainSettings().regression_rows) <= 0.05
