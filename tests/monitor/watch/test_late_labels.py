"""Labels that come days after their replies, one by one: tested as those that come at once."""

from __future__ import annotations

import pytest

from tests.monitor.support.standing import known_baseline, standings
from tests.monitor.support.world import VERSION, World, make

A_DAY = 1_000  # replies
DAY_MS = 86_400_000
BEGAN_MS = 1_700_000_000_000
TOGETHER = 25  # replies served at once


def reviewed(lag: int, harm_from: int, replies: int, seed: int) -> World:
    """Each reply is labelled so many replies later, in a turn of its own: right nine times in ten, then six."""
    world = make(seed)
    world.dated, world.step_ms, world.now_ms = True, DAY_MS // A_DAY, BEGAN_MS
    right = [world.rng.random() < (0.9 if k < harm_from else 0.6) for k in range(replies)]
    ids: list[str] = []
    for first in range(0, replies + lag, TOGETHER):
        ids += world.serve(TOGETHER)
        for k in range(max(0, first - lag), min(first - lag + TOGETHER, replies)):
            world.now_ms += 1_000
            world.label([ids[k]], [right[k]])
        if world.alarms("quality"):
            break
    return world


@pytest.mark.slow
@pytest.mark.parametrize("days", [1, 6])
def test_reviews_of_days_ago_raise_an_alarm_with_as_many_labels_as_at_once(days: int) -> None:
    """Six days later the replies are no longer among those that are remembered; the reference's own labels are as
    late."""
    for seed in range(2):
        soon, late = reviewed(0, 700, 1_200, seed), reviewed(days * A_DAY, 700, 1_200, seed)
        assert known_baseline(late.settings, late.state, VERSION).labelled == 300
        assert len(late.alarms("quality")) == len(soon.alarms("quality")) == 1
        tested, needed = (standings(each.state)[VERSION].tested_labels for each in (late, soon))
        assert abs(tested - needed) <= 0.2 * needed


@pytest.mark.slow
def test_the_onset_is_when_the_replies_were_asked_for_and_not_when_the_reviews_came() -> None:
    """A retraining takes the labelled replies since the onset: days later there would be none."""
    world = reviewed(3 * A_DAY, 700, 1_200, 0)
    (alarm,) = world.alarms("quality")
    harmed_ms = BEGAN_MS + 700 * world.step_ms
    assert abs(alarm.onset_ms - harmed_ms) < DAY_MS / 4


@pytest.mark.slow
def test_healthy_reviews_of_days_ago_raise_none() -> None:
    world = reviewed(3 * A_DAY, 10_000, 1_500, 0)
    assert world.alarms("quality") == []
    assert standings(world.state)[VERSION].tested_labels == 1_200


def test_where_labels_are_plentiful_a_baseline_waits_for_a_day_and_not_for_all_that_are_waited_for() -> None:
    """None of the reference's replies is ever labelled, all later ones are."""
    world = make(0)
    assert world.settings.late_labels_s > 86_400
    world.serve(300)
    world.step_ms = DAY_MS // 200
    for _ in range(260):
        world.label(world.serve(1), [True])
    assert standings(world.state)[VERSION].tested_labels > 0


def test_a_label_of_the_reference_that_comes_after_days_counts_all_the_same() -> None:
    world = make(0)
    ids = world.serve(300)
    world.now_ms += 6 * DAY_MS
    world.label(ids[:50], 0.9)
    assert known_baseline(world.settings, world.state, VERSION).labelled == 50
