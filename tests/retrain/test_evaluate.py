"""Evaluation asks the engine as clients do, and never mistakes trouble for a wrong answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from monitor.metrics import exact_match
from retrain.comparison import compare, slices, summary
from retrain.dataset import Dataset
from retrain.evaluate import EngineRefused, answers, loaded, scores
from retrain.settings import RetrainSettings
from tests.retrain.engine import Engine
from tests.retrain.rows import row, rows


@pytest.fixture
async def engine() -> AsyncIterator[tuple[Engine, str]]:
    made = Engine()
    async with made.serving() as url:
        yield made, url


async def test_the_adapter_is_held_only_while_it_is_asked(engine: tuple[Engine, str]) -> None:
    made, url = engine
    made.names["evaluation-left-by-a-killed-one"] = "/x"
    async with aiohttp.ClientSession() as http:
        both = {"support-1": Path("/adapters/good"), "support-2": Path("/adapters/bad")}
        async with loaded(http, url, both) as names:
            assert names == ["evaluation-support-1", "evaluation-support-2"]
            assert set(made.names) == {"base", *names}
        assert set(made.names) == {"base"}
        with pytest.raises(ZeroDivisionError):
            async with loaded(http, url, both):
                _ = 1 / 0
    assert set(made.names) == {"base"}


async def test_answers_come_in_the_rows_order(engine: tuple[Engine, str]) -> None:
    made, url = engine
    asked = rows(20)
    made.names["m"] = "/bad"
    async with aiohttp.ClientSession() as http:
        given = await answers(http, url, "m", asked, max_tokens=8, concurrency=4)
    assert given == [each.text for each in asked]


async def test_an_error_is_no_wrong_answer(engine: tuple[Engine, str]) -> None:
    made, url = engine
    made.status, made.names["m"] = 500, "/bad"
    async with aiohttp.ClientSession() as http:
        with pytest.raises(EngineRefused, match="status 500, expected 200"):
            await answers(http, url, "m", rows(2), max_tokens=8, concurrency=1)


async def test_both_sides_answer_the_same_rows(engine: tuple[Engine, str]) -> None:
    _, url = engine
    dataset = Dataset([], [], rows(6, "a"), rows(4, "b", first=50), {})
    sides = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))
    gate = await compare(RetrainSettings(), url, dataset, "exact_match", *sides)
    assert gate.target == [(1.0, 0.0)] * 6
    assert gate.regression == [(0.0, 0.0)] * 4
    assert summary(gate) == {
        "target_candidate": 1.0,
        "target_champion": 0.0,
        "regression_candidate": 0.0,
        "regression_champion": 0.0,
    }


@pytest.mark.parametrize(("margin", "asked"), [(0.1, 80), (0.0, 230)])
async def test_regression_rows_are_asked_only_until_they_tell(
    engine: tuple[Engine, str], margin: float, asked: int
) -> None:
    """Two that answer alike: soon shown to be no worse by ten points, never to be no worse at all."""
    _, url = engine
    dataset = Dataset([], [], rows(20), rows(230, first=50), {})
    sides = ("new-1", Path("/adapters/bad")), ("old-1", Path("/adapters/bad"))
    gate = await compare(RetrainSettings(margin=margin), url, dataset, "exact_match", *sides)
    assert len(gate.target) == 20
    assert len(gate.regression) == asked


def test_groups_come_from_tags() -> None:
    tagged = [row(1, tags={"language": "de"}), row(2, tags={"language": "en"}), row(3)]
    found = slices(tagged, [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
    assert found == {"language=de": [(1.0, 0.0)], "language=en": [(0.0, 1.0)]}


def test_scores_compare_normalised() -> None:
    assert scores(["A.", " b "], [row(1, "a"), row(2, "c")], exact_match) == [1.0, 0.0]
