"""A candidate must not change what a downstream system found worth something."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.data.dataset import Dataset
from retrain.data.labelled_rows import downstream_scores
from retrain.evaluation.comparison import check_settings, compare
from retrain.evaluation.gate import judge
from retrain.settings import RetrainSettings
from streams.scoring.scorer import Scorer
from streams.topics import FEEDBACK
from tests.retrain.data.test_labelled_rows import feedback
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import row
from tests.streams.support.lakes import at, put

EXACT = Scorer.of("exact_match", "support", Path("."))
WON = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))
SETTINGS = RetrainSettings(business_metric="downstream/crm", business_margin=0.1)


@pytest.mark.parametrize(("worth", "passed"), [(0.0, True), (1.0, False)])
async def test_what_was_worth_something_must_stay(worth: float, passed: bool) -> None:
    """The candidate mends all fresh rows and answers healthy ones as ever: what did the old answers earn?."""
    fresh = [row(n, "a", predicted=row(n).text) for n in range(60)]
    healthy = [row(n, "a", predicted="a") for n in range(700, 900)]
    made = Engine()
    made.spoken = {each.text: "a" for each in healthy}
    earned = {each.id: worth for each in fresh} | {each.id: 1.0 for each in healthy}
    async with made.serving() as url:
        gate = await compare(SETTINGS, url, Dataset([], [], fresh, healthy, {}), EXACT, *WON, downstream=earned)
    (check,) = [each for each in judge(gate).checks if each.name.startswith("business")]
    assert check.name == "business: downstream/crm"
    assert check.passed is passed
    assert judge(gate).status == ("promote" if passed else "reject")


async def test_an_answer_that_the_champion_no_longer_gives_says_nothing() -> None:
    fresh = [row(n, "a", predicted="something else") for n in range(60)]
    made = Engine()
    async with made.serving() as url:
        earned = {each.id: 1.0 for each in fresh}
        gate = await compare(SETTINGS, url, Dataset([], [], fresh, [], {}), EXACT, *WON, downstream=earned)
    assert gate.business == []


def test_the_newest_score_of_that_key_counts(tmp_path: Path) -> None:
    lake = at(tmp_path)
    given = [
        feedback(1, None, score=0.2, source="downstream", by="crm"),
        feedback(1, None, score=0.9, time_ms=9_000_000, id="later", source="downstream", by="crm"),
        feedback(2, None, score=0.5, source="downstream", by="erp"),
        feedback(3, None, score=0.5, source="client", by="crm"),
    ]
    put(lake, FEEDBACK, given)
    assert list(downstream_scores(lake, "support", "crm").values()) == [0.9]


def test_a_name_is_needed() -> None:
    check_settings(SETTINGS, "support")
    with pytest.raises(ValueError, match="downstream/ and the name of an API key"):
        RetrainSettings(business_metric="downstream/")
