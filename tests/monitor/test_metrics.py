from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.metrics import METRICS, Metric, exact_match, json_validity, normalise, rouge_l, token_f1


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


@pytest.mark.parametrize(
    "group",
    [
        ["C", "C++", "C#", "C--", "C:"],
        ["A", "A+", "A-", "A*", "AA", "AA+", "AA-", "A#"],
        [
            "5",
            "5 %",
            "-5",
            "+5",
            ".5",
            "$5",
            "5\u20ac",
            "5\u2030",
            "5\u00b0",
            "5'",
            '5"',
            "5!",
            "#5",
            "5)",
            "5+",
            "50",
            "5 5",
        ],
        ["10", "10 %", "1", "1.0", "v10", "v1.0", "10\u00b2", "102", "10\u2082", "10\u2070"],
        [
            "x",
            "@x",
            "#x",
            "$x",
            "x*",
            "x/",
            "x=",
            "~x",
            "_x",
            "x_",
            "^x",
            "x^2",
            "x2",
            "<x>",
            "[x]",
            "(x)",
            "{x}",
            "x&",
        ],
        ["1\u00bd", "11/2", "1/2", "112"],
        ["\u0665\u2082", "52"],
        ["10 \u20ac 5", "10 \u20ac5"],
        [":)", ":(", ":", ")", "+", "-", "%", "?", "!"],
        ["U.S.", "US", "USA"],
        ["yes", "no", "yes/no", "yes & no"],
        ["caf\u00e9", "cafe"],
        ["is this right", "is this, right"],
    ],
)
def test_what_means_something_else_is_not_equal(group: list[str]) -> None:
    assert {(one, other) for one in group for other in group if exact_match(one, other)} == {
        (each, each) for each in group
    }


@pytest.mark.parametrize(
    "group",
    [
        ["caf\u00e9", "cafe\u0301", "CAF\u00c9", "caf\u00e9.", "caf\u200b\u00e9", "\ufeffcaf\u00e9\u00a0"],
        [
            "card arrival",
            "Card\u200b Arrival.",
            "card\u3000arrival\u3002",
            "\uff43ard arrival\uff0e",
            "card\narrival!",
            "card\u00ad arrival",
        ],
        ["don't", "don\u2019t", "don\u2018t", "don\u02bct", "don\u2032t", "don`t", "don\u00b4t", "don\uff07t"],
        [
            'say "no"',
            "say \u201cno\u201d",
            "say \u201eno\u201c",
            "say \u00abno\u00bb",
            "say \u00ab no \u00bb",
            "say \u00ab\u00a0no\u202f\u00bb",
            "say \u300cno\u300d",
            "say \u2033no\u2033",
        ],
        ['say "yes" or "no"', "say \u00ab yes \u00bb or \u00ab no \u00bb", "say \u00bbyes\u00ab or \u00bbno\u00ab"],
        ["10 %", "10%", "10\uff05", "\uff11\uff10 %", "10\u00a0%"],
        ["-5", "\u22125", "\u20135", "\uff0d5", "-5."],
        ["5", "5.", " 5 ", "\uff15", "5\u3002", "5\u200d"],
        ["c++", "C++.", "C\uff0b\uff0b", "C++!"],
        [
            "\u662f\u7684",
            "\u662f\u7684\u3002",
            "\u662f\u7684\uff0e",
            "\u662f\u7684\uff61",
            "\u662f\u7684\uff01",
            "\u662f\u7684\uff1f",
        ],
        ["\u30ab\u30fc\u30c9", "\uff76\uff70\uff84\uff9e", "\u30ab\u30fc\u30c8\u3099"],
        ["stra\u00dfe", "STRASSE"],
        ["\u0646\u0639\u0645", "\u0646\u0639\u0645\u061f", "\u200f\u0646\u0639\u0645"],
        ["\u0939\u093e\u0901", "\u0939\u093e\u0901\u0964"],
        ["\u2764", "\u2764\ufe0f"],
        ["wait", "wait...", "wait\u2026"],
        ["s\u00ed", "\u00a1S\u00ed!", "\u00bfS\u00ed?", "Si\u0301"],
        ["50", "\u0665\u0660", "\u06f5\u06f0.", "\u096b\u0966", "\u09eb\u09e6\u0964", "\U0001d7d3\U0001d7ce"],
        ["50 %", "\u0665\u0660\u066a", "\u0665\u0660 \u066a"],
        ["3.5", "\u0663\u066b\u0665"],
        ["\u0645\u0631\u062d\u0628\u0627", "\u0645\u0640\u0640\u0631\u062d\u0628\u0627"],
        ["istanbul", "\u0130STANBUL", "I\u0307stanbul"],
        ["\u0f61\u0f72\u0f53", "\u0f61\u0f72\u0f53\u0f0d"],
        ["ok", "ok\u2800"],
        ["5\u301c10\u65e5", "5\uff5e10\u65e5"],
        ["\u20ac5", "\u20ac 5", "\u20ac 5."],
        ["5\u20b9", "5 \u20b9", "5\u00a0\u20b9"],
    ],
)
def test_what_is_only_written_otherwise_is_equal(group: list[str]) -> None:
    assert [(one, other) for one in group for other in group if not exact_match(one, other)] == []


@pytest.mark.parametrize("metric", [token_f1, rouge_l])
@pytest.mark.parametrize(
    ("said", "wanted", "score"),
    [
        ("\u6211\u7684\u5361\u4e22\u4e86", "\u6211\u7684\u5361", 0.75),  # of five and three characters three
        ("\u30ab\u30fc\u30c9", "\u30ab\u30fc\u30c9\u3002", 1.0),
        ("\u0e1a\u0e31\u0e15\u0e23", "\u0e1a\u0e31\u0e15", 0.8),  # a vowel's mark belongs to its consonant
        ("\u6771\u4eac tower", "\u6771\u4eac", 0.8),
        ("\u6771\u4eactower 2", "\u6771\u4eac tower 2", 1.0),
        ("\u662f\u7684\uff0c\u8c22\u8c22", "\u662f\u7684\u8c22\u8c22", 1.0),
        ("Yes, it is.", "yes it is", 1.0),
        ("Hola, \u00bfqu\u00e9 tal?", "hola qu\u00e9 tal", 1.0),
        ("\ua992\ua98f", "\ua992", 2 / 3),
        ('It is "Paris".', "it is Paris", 1.0),
        ("a refund (pending)", "a refund pending", 1.0),
        ("\u300c\u662f\u7684\u300d", "\u662f\u7684", 1.0),
        ("\u5361\uff08\u4e22\u5931\uff09", "\u5361\u4e22\u5931", 1.0),
        ("I know C++ well", "I know C well", 0.75),
        ("\ub124 \uac10\uc0ac\ud569\ub2c8\ub2e4", "\ub124", 2 / 3),  # Korean has blanks
    ],
)
def test_tokens_are_words_or_characters_as_the_script_has_them(
    metric: Metric, said: str, wanted: str, score: float
) -> None:
    assert metric(said, wanted) == metric(wanted, said) == pytest.approx(score)


def test_long_texts_without_blanks_are_compared_at_once() -> None:
    text = "\u4e00\u4e01\u4e03" * 6_000
    assert rouge_l(text[::-1], text) < 1.0 == rouge_l(text, text)


@given(st.text(max_size=30), st.text(max_size=30))
def test_metrics_are_shares_and_the_truth_is_perfect(one: str, other: str) -> None:
    assert all(0.0 <= metric(one, other) <= 1.0 for metric in METRICS.values())
    assert exact_match(one, one) == token_f1(one, one) == rouge_l(one, one) == 1.0
    assert normalise(normalise(one)) == normalise(one)


def test_json() -> None:
    assert json_validity('{"a": 1, "b": 2}', '{"a": 0}') == 1.0
    assert json_validity('{"b": 2}', '{"a": 0}') == 0.0
    assert json_validity("[1") == 0.0
    assert all(json_validity(said) == 0.0 for said in ("NaN", "Infinity", "-Infinity", '{"a": NaN}', "[1, -Infinity]"))
    assert json_validity('{"b": 2}', '{"a": NaN}') == 1.0
    assert json_validity("1" * 5_000) == json_validity("[1e999, null]") == 1.0
    assert json_validity("[1]", "not json") == 1.0
    assert json_validity("[" * 100_000) == 0.0


def test_rouge_l_wants_the_order() -> None:
    assert token_f1("b a", "a b") == 1.0
    assert rouge_l("b a", "a b") == 0.5
