from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.metrics import METRICS, exact_match, json_validity, macro_f1, normalise, rouge_l, token_f1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Card_Arrival", " card_arrival.\n", 1.0),
        ("a  b!", "A B", 1.0),
        ("yes", "no", 0.0),
        ("", "", 1.0),
        ("?", "!", 0.0),
    ],
)
def test_exact_match_overlooks_what_does_not_matter(one: str, other: str, same: float) -> None:
    assert exact_match(one, other) == same


@given(st.text(max_size=30), st.text(max_size=30))
def test_metrics_are_shares_and_the_truth_is_perfect(one: str, other: str) -> None:
    assert all(0.0 <= metric(one, other) <= 1.0 for metric in METRICS.values())
    assert exact_match(one, one) == token_f1(one, one) == rouge_l(one, one) == 1.0
    assert normalise(normalise(one)) == normalise(one)


def test_json() -> None:
    assert json_validity('{"a": 1, "b": 2}', '{"a": 0}') == 1.0
    assert json_validity('{"b": 2}', '{"a": 0}') == 0.0
    assert json_validity("[1") == 0.0
    assert json_validity("[1]", "not json") == 1.0
    assert json_validity("[" * 100_000) == 0.0


def test_macro_f1_gives_rare_classes_their_weight() -> None:
    assert macro_f1(["a"] * 10, ["a"] * 9 + ["b"]) == pytest.approx((18 / 19) / 2)
    assert macro_f1([], []) == 0.0


def test_rouge_l_wants_the_order() -> None:
    assert token_f1("b a", "a b") == 1.0
    assert rouge_l("b a", "a b") == 0.5
