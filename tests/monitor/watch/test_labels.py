"""Labels that come in lumps: of one person, of one file, in episodes."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.judge import AliasState
from monitor.reference.dependence import known_of
from monitor.settings import MonitorSettings
from monitor.signals import quality
from tests.monitor.support.graded import graded
from tests.monitor.support.standing import known_baseline, standings
from tests.monitor.support.world import VERSION, World, make


def labelled(seed: int, accuracy: float = 0.95) -> World:
    world = make(seed)
    world.label(world.serve(300)[::2], accuracy)
    return world


def by(*people: str) -> list[str]:
    return [f"app/{person}" for person in people]


def test_six_wrong_answers_of_one_person_labelled_at_once_are_one() -> None:
    for seed in range(5):
        world = labelled(seed)
        world.label(world.serve(6, clients=by(*["ann"] * 6)), [False] * 6)
        assert world.alarms("quality") == []
        assert standings(world.state)[VERSION].tested_labels == 6


def test_the_same_of_six_people_through_one_key_prove_harm() -> None:
    """Nothing is left out because it comes through one key."""
    world = labelled(0)
    for turn in range(2):
        world.label(world.serve(6, clients=by(*(f"{turn}-{k}" for k in range(6)))), [False] * 6)
    assert len(world.alarms("quality")) == 1


def test_a_person_counts_once_in_a_turn_whatever_partitions_the_labels_lie_in() -> None:
    world, whole = labelled(0), labelled(0)
    for each in (world, whole):
        ids = each.serve(12, clients=by(*["ann", "bob"] * 6))
    world.label(ids[:5], [False] * 5, ends_turn=False)
    world.label(ids[5:], [False] * 7)
    whole.label(ids, [False] * 12)
    assert world.state.watches == whole.state.watches
    assert world.alarms("quality") == []


def test_a_persons_next_turn_is_another_step() -> None:
    world = labelled(0)
    for _ in range(20):
        world.label(world.serve(2, clients=by("ann", "ann")), [False] * 2)
    assert len(world.alarms("quality")) == 1


@pytest.mark.parametrize("names", [["app"], ["one", "two"]])
def test_names_that_all_replies_carry_are_no_people(names: list[str]) -> None:
    """An application that names itself as its only user: its files would be one step each, and nothing were tested."""
    world = make(0)
    world.label(world.serve(300, clients=by(*(names * 300)[:300])), 0.95)
    world.label(world.serve(300, clients=by(*(names * 300)[:300])), 0.95)
    assert known_baseline(world.settings, world.state, VERSION).limit is not None
    assert world.alarms("quality") == []
    world.label(world.serve(60, clients=by(*(names * 60)[:60])), 0.3)
    assert len(world.alarms("quality")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_a_file_sorted_by_verdict_is_no_episode(first: bool) -> None:
    """One answer in ten is wrong, before and after; the file holds the right ones first, or the wrong ones."""
    for seed in range(5):
        world = labelled(seed, 0.9)
        verdicts = sorted((world.rng.random(300) < 0.9).tolist(), reverse=first)
        world.label(world.serve(300), verdicts)
        assert world.alarms("quality") == []
        assert standings(world.state)[VERSION].tested_labels == 300


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_a_sorted_file_of_the_first_day_builds_no_false_baseline(first: bool) -> None:
    """It labels the reference and what came after it, in the order of the verdicts."""
    for seed in range(5):
        world = make(seed)
        ids = world.serve(600)
        right = (world.rng.random(600) < 0.85).tolist()
        ordered = sorted(range(600), key=lambda k: (right[k] != first, k))
        world.label([ids[k] for k in ordered], [right[k] for k in ordered])
        assert known_baseline(world.settings, world.state, VERSION).labelled == 300
        assert world.alarms("quality") == []


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_nor_does_one_that_takes_many_turns(first: bool) -> None:
    """What it tells of later replies waits until it has told all of the reference."""
    for seed in range(3):
        world = make(seed)
        ids = world.serve(600)
        right = (world.rng.random(600) < 0.85).tolist()
        ordered = sorted(range(600), key=lambda k: (right[k] != first, k))
        for low in range(0, 600, 60):
            some = ordered[low : low + 60]
            world.label([ids[k] for k in some], [right[k] for k in some])
            world.now_ms += 1_000
        world.serve(10)
        assert world.alarms("quality") == []
        assert standings(world.state)[VERSION].tested_labels == 300


def nightly(world: World, accuracy: float, *, first: bool, a_turn: int = 50) -> None:
    """A file of a day's labels, an hour after its last reply and sorted by verdict, sent in many turns."""
    ids = world.serve(1_000)
    world.now_ms += 3_600_000
    right = sorted((world.rng.random(1_000) < accuracy).tolist(), reverse=first)
    for low in range(0, 1_000, a_turn):
        world.label(ids[low : low + a_turn], right[low : low + a_turn])
        world.now_ms += 1_000
    world.serve(4)


@pytest.mark.slow
@pytest.mark.parametrize("a_turn", [4, 50])
@pytest.mark.parametrize("first", [True, False])
def test_sorted_files_of_later_days_are_no_episodes(first: bool, a_turn: int) -> None:
    world = labelled(0)
    for day in range(3):
        nightly(world, 0.95, first=first, a_turn=a_turn)
        assert standings(world.state)[VERSION].tested_labels == (day + 1) * 1_000
    assert world.alarms("quality") == []
    nightly(world, 0.7, first=first, a_turn=a_turn)
    assert len(world.alarms("quality")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_sorted_batches_of_the_last_minutes_are_no_episodes(first: bool) -> None:
    """Every five minutes a job sends what it gathered, the right ones first or the wrong ones, in many turns."""
    world = labelled(0)
    for accuracy, alarms in ((0.95, 0), (0.95, 0), (0.6, 1)):
        ids = world.serve(280)
        world.now_ms += 300_000
        right = sorted((world.rng.random(280) < accuracy).tolist(), reverse=first)
        for low in range(0, 280, 20):
            world.label(ids[low : low + 20], right[low : low + 20])
            world.now_ms += 1_000
        world.serve(4)
        assert len(world.alarms("quality")) == alarms


def test_harm_in_the_first_file_is_found_once_it_is_over() -> None:
    world = make(0)
    ids = world.serve(400)
    world.label(ids, [*(world.rng.random(300) < 0.95).tolist(), *(world.rng.random(100) < 0.3).tolist()])
    assert world.alarms("quality") == []
    world.serve(4)
    assert len(world.alarms("quality")) == 1


def test_a_healthy_file_hides_no_harm_of_its_end() -> None:
    world = labelled(0)
    world.label(world.serve(100), 0.95)
    world.label(world.serve(60), 0.4)
    assert len(world.alarms("quality")) == 1


def test_episodes_in_the_reference_are_judged_in_blocks() -> None:
    rng = np.random.default_rng(0)
    independent = known_of((rng.random(1_000) < 0.1).astype(float).tolist(), range(1_000))
    assert (independent.block, independent.worth) == (1, 1_000)
    episodes = known_of(np.repeat(rng.random(100) < 0.1, 10).astype(float).tolist(), range(1_000))
    assert episodes.block >= 5
    assert episodes.worth < 300
    same_person = known_of(np.repeat(rng.random(100) < 0.1, 10).astype(float).tolist(), [k // 10 for k in range(1_000)])
    assert (same_person.block, same_person.steps) == (1, 100)


def test_graded_episodes_in_the_reference_are_judged_in_blocks() -> None:
    rng = np.random.default_rng(0)
    independent = known_of(graded(rng, 1_000, 0.48, 0.15), range(1_000))
    assert (independent.block, independent.worth) == (1, 1_000)
    episodes = known_of(np.repeat(graded(rng, 100, 0.48, 0.15), 10).tolist(), range(1_000))
    assert episodes.block >= 5
    assert episodes.worth < 300
    settings = MonitorSettings()
    limits = [quality.baseline(settings, each).limit or 1.0 for each in (independent, episodes)]
    assert 0.51 < limits[0] < limits[1] < 0.60


def test_labels_wait_within_bounds_and_through_json_until_their_turn_is_over() -> None:
    world = labelled(0)
    ids = world.serve(200)
    world.label(ids[:100], [True] * 100, ends_turn=False)
    assert standings(world.state)[VERSION].tested_labels == 0
    world.state = msgspec.json.decode(msgspec.json.encode(world.state), type=AliasState)
    world.label(ids[100:], [True] * 100)
    assert standings(world.state)[VERSION].tested_labels == 200


def test_a_state_of_an_earlier_release_goes_on() -> None:
    world = labelled(0)
    old = msgspec.to_builtins(world.state)
    del old["turn"]
    for name in ("turns", "people", "known", "unfinished", "adopted_steps"):
        del old["watches"][VERSION][name]
    world.state = msgspec.convert(old, AliasState)
    for _ in range(30):
        world.label(world.serve(2, clients=by("ann", "bob")), 0.3)
    assert len(world.alarms("quality")) == 1
