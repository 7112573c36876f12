"""Near duplicates and the turns of a conversation are one step of a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from retrain.data.dataset import Dataset, united
from retrain.data.example import Example
from retrain.data.likeness import LONGEST_TALK, Likeness
from retrain.evaluation.comparison import judged, start
from retrain.evaluation.gate import GateInput, judge
from retrain.evaluation.pairs import AnsweredRows
from retrain.settings import RetrainSettings
from tests.retrain.support.rows import row

SETTINGS = RetrainSettings()


class Sides:
    """The candidate is right on all rows, the champion where it says."""

    def __init__(self, champion: dict[str, float]) -> None:
        self.champion, self.asked = champion, list[list[str]]()

    async def both(self, rows: Sequence[Example]) -> AnsweredRows:
        self.asked.append([each.id for each in rows])
        pairs = [(1.0, self.champion.get(each.id, 1.0)) for each in rows]
        return AnsweredRows(rows=list(rows), pairs=pairs, cut=(0, 0), left_out=Counter())


async def compared(validation: list[Example], regression: list[Example], champion: dict[str, float]) -> GateInput:
    gate = start(SETTINGS, "new", "old", None, {})
    return await judged(gate, Dataset([], [], validation, regression, {}), Sides(champion), SETTINGS.step_rows)


async def test_a_conversation_is_one_step_with_its_mean() -> None:
    talk = [replace(row(i, "a"), conversation="c1") for i in range(4)]
    alone = [row(i, "a") for i in range(4, 6)]
    gate = await compared([*talk, *alone], [], {talk[0].id: 0.0, alone[0].id: 0.0})
    assert sorted(gate.target) == [(1.0, 0.0), (1.0, 0.75), (1.0, 1.0)]
    assert gate.rows == 6


@pytest.mark.parametrize(("one", "verdict"), [("", "promote"), ("c1", "inconclusive")])
async def test_a_hundred_turns_of_one_conversation_prove_no_more_than_one(one: str, verdict: str) -> None:
    turns = [replace(row(i, "a"), conversation=one) for i in range(100)]
    healthy = [row(i, "a") for i in range(200, 500)]
    gate = await compared(turns, healthy, {each.id: 0.0 for each in turns})
    assert judge(gate).status == verdict


async def test_a_name_that_stands_for_very_many_rows_is_no_unit_of_later_rows_either() -> None:
    rows = [replace(row(i, "a"), conversation="always") for i in range(LONGEST_TALK + 1)]
    gate = await compared(rows, [], {each.id: 0.0 for each in rows})
    assert len(gate.target) > 1


async def test_answers_that_are_cut_are_a_share_of_rows() -> None:
    """Of 40 rows in one unit two are cut: a twentieth, and no reason to judge nothing."""

    class Cutting(Sides):
        async def both(self, rows: Sequence[Example]) -> AnsweredRows:
            found = await super().both(rows)
            return AnsweredRows(rows=found.rows, pairs=found.pairs, cut=(2, 0), left_out=found.left_out)

    turns = [replace(row(i, "a"), conversation="c1") for i in range(40)]
    gate = start(SETTINGS, "new", "old", None, {})
    gate = await judged(gate, Dataset([], [], turns, [], {}), Cutting({}), SETTINGS.step_rows)
    assert (gate.cut_candidate, gate.rows, len(gate.target)) == (2, 40, 1)
    assert "limit of tokens" not in judge(gate).reason


def test_rows_that_say_the_same_share_the_one_that_stands_for_them() -> None:
    rows = [row(0, "a"), row(1, "a"), replace(row(2, "a"), conversation="c1"), replace(row(3, "b"), conversation="c1")]
    rows[1] = replace(rows[1], messages=rows[0].messages)
    found = united(rows, Likeness.of(rows))
    assert [each.unit for each in found] == [rows[0].id, rows[0].id, rows[2].id, rows[2].id]


def test_a_name_that_stands_for_very_many_rows_is_no_conversation() -> None:
    """A client that sends everything under one name would leave nothing to judge on."""
    rows = [replace(row(i, "a"), conversation="always") for i in range(LONGEST_TALK + 1)]
    likeness = Likeness.of(rows)
    assert len(set(likeness.clusters(rows))) > 1
    assert len(set(likeness.clusters(rows[:-1]))) == 1
