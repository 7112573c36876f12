"""A wrong metric is refused where it stands, with key, value and what was expected."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from monitor.metrics import token_f1
from streams.scoring.settings import KINDS, NAMES, ByCallable, ByName, ByRubric, BySchema, ScoringSettings

RUBRIC: dict[str, Any] = {"rubric": "rubric.md", "url": "https://judge.example/v1", "model": "judge"}


def metric(given: object) -> object:
    return ScoringSettings(metrics={"support": given}).metric("support")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("rogue_l", r"name is 'rogue_l', expected one of .*rouge_l"),
        (7, r"scoring\.metrics\.support is 7, expected a metric's name, or a table with one of"),
        ({}, r"support is \[\], expected a metric's name"),
        ({"schema": "a.json", "rubric": "b.md"}, r"support is \['rubric', 'schema'\], expected"),
        ({"name": "rouge_l", "stemmer": True}, r"support\.stemmer is an unknown key, expected one of name"),
        ({"rubric": "rubric.md", "url": "https://x/v1"}, r"support\.model is missing"),
        ({**RUBRIC, "url": "judge.example"}, r"support: url is 'judge\.example', expected an address"),
        ({**RUBRIC, "url": "https://me:secret@judge.example"}, r"url is '\(not shown\)'"),
        ({**RUBRIC, "concurrency": 0}, r"concurrency is 0, expected at least 1"),
        ({**RUBRIC, "tries": "many"}, r"support\.tries is 'many': Expected `int`"),
        ({**RUBRIC, "timeout_s": 0}, r"timeout_s is 0\.0, expected a positive number"),
        ({**RUBRIC, "prompt": "~/prompt.txt"}, r"support\.prompt is '~/prompt\.txt': expected a path, written out"),
        ({**RUBRIC, "body": {"since": date(2026, 1, 1)}}, r"body is \['since'\], expected values that JSON has"),
        ({"schema": 3}, r"support\.schema is 3: expected a path"),
        ({"callable": "score"}, r"callable is 'score', expected pkg\.module:function"),
    ],
)
def test_a_wrong_metric_names_key_value_and_expectation(given: object, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as raised:
        metric(given)
    assert "scoring.metrics.support" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_metric_is_a_name_or_a_table() -> None:
    assert [metric(name) for name in NAMES] == [ByName(name=name) for name in NAMES]
    assert metric({"schema": "a.json"}) == BySchema(schema=Path("a.json"))
    assert metric({"callable": "house.tone.score", "timeout_s": 2}) == ByCallable(
        callable="house.tone.score", timeout_s=2.0
    )
    assert metric({**RUBRIC, "tries": "5"}) == ByRubric(**{**RUBRIC, "rubric": Path("rubric.md"), "tries": 5})


def test_an_alias_without_one_has_the_exact_match_and_only_pure_ones_are_quick() -> None:
    settings = ScoringSettings(metrics={"a": "token_f1", "b": "rouge_2", "c": RUBRIC})
    assert (settings.metric("z"), settings.quick("a")) == (ByName(name="exact_match"), token_f1)
    assert [settings.quick(alias) is None for alias in "zabc"] == [False, False, True, True]


def test_a_metric_that_is_parsed_again_is_the_same() -> None:
    """A trainer hands it to its job."""
    for kind in KINDS.values():
        given = {"schema": "a.json", "callable": "a:b", "name": "rouge_l", **RUBRIC}
        made = metric({each.name: given[each.name] for each in fields(kind) if each.name in given})
        assert metric(asdict(made)) == made  # type: ignore[call-overload]
