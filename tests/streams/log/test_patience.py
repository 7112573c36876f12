"""An act is waited for as long as it moves on, however long that is."""

from __future__ import annotations

import threading

import pytest

from streams.log.patience import BrokersSilent, Moved, patient


def test_an_act_that_moves_on_takes_as_long_as_it_takes() -> None:
    waits = threading.Event()

    def act(moved: Moved) -> str:
        for _ in range(20):
            waits.wait(0.1)
            moved()
        return "done"

    assert patient(act, "kafka:9092", quiet_s=1.5) == "done"  # longer than that in all


def test_an_act_that_does_not_is_given_up_and_left_alone() -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def act(moved: Moved) -> None:
        moved()
        goes_on.wait()
        ended.set()

    with pytest.raises(BrokersSilent, match=r"^Kafka at kafka:9092 answered, and then nothing more for 0\.05 s"):
        patient(act, "kafka:9092", quiet_s=0.05)
    goes_on.set()
    assert ended.wait(30)


def test_what_it_raises_is_raised() -> None:
    def act(moved: Moved) -> None:
        raise LookupError("no such alias")

    with pytest.raises(LookupError, match="no such alias"):
        patient(act, "kafka:9092")
