from __future__ import annotations

import pytest

from monitor.describe.patterns import LONGEST, Forbidden


def test_a_pattern_is_found_in_either_case_and_named() -> None:
    forbidden = Forbidden({"competitor": r"\bacme\b", "promise": r"guarantee[ds]?\s{1,5}returns"})
    assert forbidden.names == ("competitor", "promise")
    assert forbidden.hits(["ACME is fine", "guaranteed  Returns at Acme", "acmes"]) == [
        [True, True, False],
        [False, True, False],
    ]


def test_no_patterns_find_nothing() -> None:
    assert Forbidden().hits(["anything"]) == []


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("[", "expected a regular expression"),
        ("a)|(b", "expected a regular expression"),
        ("x?", "needs some text"),
        (r"(?P<n>a)b", "without names"),
        (r"(a)\1", "references to its groups"),
        (r"(a|b)?(?(1)c|d)", "references to its groups"),
        (r"(a+)+b", "steps to try"),
        (r"(a|aa){1,50}b", "steps to try"),
        (r"(.{0,30}a){3}", "steps to try"),
        (r"a.*b", "steps to try"),
        (r"\s++a", "steps to try"),
        (r"(?=a.*b)a", "steps to try"),
        (r"(?>a+)b", "steps to try"),
    ],
)
def test_what_cannot_be_searched_for_safely_is_refused_by_name(pattern: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        Forbidden({"fine": "acme", "bad": pattern})
    assert "policy_patterns.bad" in str(caught.value)


def test_steps_of_all_patterns_count_together() -> None:
    gap = {f"gap_{k}": rf"a{k}.{{0,90}}b" for k in range(5)}
    Forbidden(dict(list(gap.items())[:2]))
    with pytest.raises(ValueError, match="all patterns together"):
        Forbidden({f"{name}": f"{text}.{{0,9}}c" for name, text in gap.items()})


@pytest.mark.parametrize("name", ["", "Acme", "a b", "1st", "x" * 33])
def test_a_name_that_no_descriptor_may_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        Forbidden({name: "acme"})


def test_there_is_a_bound_on_patterns_and_on_the_text_looked_at() -> None:
    with pytest.raises(ValueError, match="17 patterns, expected at most 16"):
        Forbidden({f"p{k}": "a" for k in range(17)})
    assert Forbidden({"a": "acme"}).hits([" " * LONGEST + "acme"]) == [[False]]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a" * 4_000, "ab" * 2_000, " " * 4_000])
def test_the_costliest_pattern_that_is_taken_ends_on_a_hostile_text(text: str) -> None:
    assert Forbidden({"gaps": r".{0,40}[ab].{0,40}x"}).hits([text] * 5) == [[False] * 5]
