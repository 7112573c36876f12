"""What the bench measures with 200,000 events and 20 kills, in small."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from streams.objects.settings import StorageSettings
from tests.bench.streams.kills import bucket, measured


@pytest.mark.kafka
@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", ["folder", "s3"])
def test_workers_that_are_killed_again_and_again_leave_what_an_undisturbed_one_leaves(place: str) -> None:
    with bucket() if place == "s3" else nullcontext(StorageSettings()) as where:
        figures = {each.name: each for each in measured(events=5_000, kills=4, seed=1, where=where)}
    broken = [each.line() for each in figures.values() if each.goal == 0 and not each.met]
    assert not broken
    assert figures["of these, with work in hand"].value >= 2  # the others found the worker with nothing to do
    assert all(figures[f"{kind} in all"].value for kind in ("alarms", "windows", "requests", "decisions"))
