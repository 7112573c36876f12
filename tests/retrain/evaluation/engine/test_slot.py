"""An evaluation takes one adapter's place in an engine, and gives it back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from retrain.data.dataset import Dataset
from retrain.evaluation.comparison import compare
from retrain.evaluation.engine.lease import LeaseLost
from retrain.evaluation.engine.slot import EngineSlot, reserved
from retrain.evaluation.gate import judge
from retrain.settings import RetrainSettings
from streams.scoring.scorer import Scorer
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import rows

EXACT = Scorer.of("exact_match", "support", Path("."))
WON = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))
DATASET = Dataset([], [], rows(60, "a"), rows(200, "a", first=700), {})


async def test_candidate_and_champion_take_turns_in_one_place() -> None:
    """At first both were held at once, and with a canary under way an engine for four put a client's adapter out."""
    made = Engine()
    async with made.serving() as url:
        gate = await compare(RetrainSettings(), url, DATASET, EXACT, *WON)
    assert judge(gate).status == "promote"
    assert made.most_held == 1
    assert set(made.names) == {"base"}


async def test_the_one_that_is_held_is_asked_first_so_that_a_step_costs_one_load() -> None:
    made = Engine()
    async with made.serving() as url:
        await compare(RetrainSettings(), url, DATASET, EXACT, *WON)
    steps = len(made.asked) / 2 / 20
    assert sum(call.startswith("load") for call in made.calls) == steps + 1


async def test_an_evaluation_that_has_lost_the_engine_asks_no_more() -> None:
    made, turns = Engine(), iter(range(9))

    def allowed() -> None:
        if next(turns) == 3:
            raise LeaseLost("another has it")

    async with made.serving() as url:
        with pytest.raises(LeaseLost):
            await compare(RetrainSettings(), url, DATASET, EXACT, *WON, allowed=allowed)
    assert len(made.asked) == 3 * 20
    assert set(made.names) == {"base"}


async def test_the_place_is_free_whatever_happens() -> None:
    made = Engine()
    async with made.serving() as url, aiohttp.ClientSession() as http:
        slot = EngineSlot(http, url, dict(WON))
        with suppress(ZeroDivisionError):
            async with reserved(slot):
                await slot.holding("new-1")
                assert len(made.names) == 2
                _ = 1 / 0
    assert set(made.names) == {"base"}
