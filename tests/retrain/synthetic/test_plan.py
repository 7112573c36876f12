"""Which real rows a model is shown, and how many are wanted."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from retrain.synthetic.plan import RowCell, planned
from retrain.synthetic.settings import SyntheticSettings
from streams.messages import Message
from tests.retrain.support.tickets import ticket

SETTINGS = SyntheticSettings(rows=7)
REAL = [ticket(f"id-{i}", f"question {i}", "ab"[i % 2]) for i in range(12)]
TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "look_up"}}]}


def test_each_label_with_three_rows_gets_as_many() -> None:
    plan = planned(SETTINGS, [*REAL, ticket("id-99", "question 99", "c")])
    assert plan.wanted == {RowCell("a"): 7, RowCell("b"): 7}
    assert set(plan.labels) == {"a", "b"}
    assert {plan.seed(RowCell("a"), i).id for i in range(6)} == {row.id for row in REAL if row.label == "a"}
    assert plan.seed(RowCell("a"), 6) == plan.seed(RowCell("a"), 0)


def test_rows_with_turns_or_tools_are_shown_to_no_model() -> None:
    user = Message("user", "And mine?")
    behind = replace(REAL[0], id="system", messages=[Message("system", "Be kind."), user])
    turns = replace(REAL[0], id="turns", messages=[Message("user", "Hi"), Message("assistant", "Hello"), user])
    empty, tool = replace(REAL[0], id="empty", messages=[]), replace(REAL[0], id="tool", request=TOOLS)
    plan = planned(SETTINGS, [*REAL, behind, turns, empty, tool])
    assert {row.id for row in plan.seeds[RowCell("a")]} - {row.id for row in REAL} == {"system"}
    with pytest.raises(ValueError, match="1 real rows, expected some with one message of a user, no tools"):
        planned(SETTINGS, [tool])
