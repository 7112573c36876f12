"""A function that decides otherwise on the same inputs is another edition: the ledgers recorded say so."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.operator.replay import FUNCTIONS, again
from streams import codec
from streams.events import DecisionRecorded
from tests.deploy.operator.recording import RECORDED, lines, path, record

SAME = 1e-9  # of a number: machines differ in its last bits


def close(recorded: Any, derived: Any) -> bool:
    if isinstance(recorded, dict) and isinstance(derived, dict):
        return recorded.keys() == derived.keys() and all(close(recorded[key], derived[key]) for key in recorded)
    if isinstance(recorded, list) and isinstance(derived, list):
        return len(recorded) == len(derived) and all(map(close, recorded, derived))
    if isinstance(recorded, float) and isinstance(derived, float):
        return derived == pytest.approx(recorded, rel=SAME, abs=SAME)
    return bool(recorded == derived)


def entries(function: str) -> list[tuple[str, DecisionRecorded]]:
    return [(place, codec.decode(DecisionRecorded, line)) for place, line in lines(path(function))]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_edition_decides_as_it_was_recorded(function: str) -> None:
    how = (
        f"{function} decides otherwise than its edition {FUNCTIONS[function].edition} did: raise EDITION in "
        f"{FUNCTIONS[function].module}, say why in the commit, and run "
        f"`python -m tests.deploy.operator.recording {function}`"
    )
    assert path(function).exists(), how
    found = entries(function)
    assert {each.edition for _, each in found} == {FUNCTIONS[function].edition}
    for place, each in found:
        assert close(each.output, again(each)), f"{place}: {how}"


@pytest.mark.slow
@pytest.mark.parametrize("function", RECORDED)
def test_what_is_recorded_is_what_would_be_recorded_now(function: str) -> None:
    """The states that the function made on the way are part of what it decides."""
    recorded = [each.output for _, each in entries(function)]
    assert close(recorded, [each.output for each in record(function)])


def test_what_is_recorded_speaks_of_alarms_their_ends_and_all_verdicts() -> None:
    updates = [found for _, each in entries("judge.update") for found in each.output]
    assert {found["kind"] for found in updates if found["type"] == "alarm"} >= {"quality", "drift", "errors"}
    assert {found["cause"] for found in updates if found["type"] == "alarm_cleared"} == {"quiet"}
    assert {each.output["status"] for _, each in entries("gate.judge")} == {"promote", "reject", "inconclusive"}
    decided = {found["type"] for _, each in entries("policy.decide") for found in each.output}
    assert decided == {"ask_retraining", "ask_labels", "annotate"}
