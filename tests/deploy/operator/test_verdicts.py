"""Ledgers from before losses hold memories and labels that say right or wrong. Read as losses, they lead to the same
alarms, to the bits that machines have in common: of losses of 0 and 1 nothing is decided otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.operator.replay import again
from streams import codec
from streams.events import DecisionRecorded
from tests.deploy.operator.recording import lines
from tests.deploy.operator.test_editions import close

BEFORE = Path(__file__).parent / "verdicts" / "judge.update-1.jsonl.gz"
ANOTHER_FORM = ("loss", "errors", "correct", "metric", "baseline", "accuracy_since_onset", "loss_since_onset")


def decided(found: Any) -> Any:
    """What both have, without the sums that are losses now."""
    if isinstance(found, dict):
        return {name: decided(value) for name, value in found.items() if name not in ANOTHER_FORM}
    return [decided(each) for each in found] if isinstance(found, list) else found


def test_labels_of_right_and_wrong_raise_the_alarms_that_they_did() -> None:
    entries = [codec.decode(DecisionRecorded, line) for _, line in lines(BEFORE)]
    assert any(each["kind"] == "quality" for entry in entries for each in entry.output if each["type"] == "alarm")
    for entry in entries:
        assert close(decided(entry.output), decided(again(entry)))
