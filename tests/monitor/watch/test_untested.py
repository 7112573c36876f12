"""A limit that leaves no room for harm is no test: nothing is alarmed, and the reason is reported, once."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from monitor.findings import AlarmEnd, Kind, NotTested
from monitor.settings import Fairness
from monitor.watch import untested
from monitor.watch.record import restored
from tests.monitor.support.standing import known_baseline
from tests.monitor.support.world import VERSION, World, make

REFUSAL = NAMES.index("output_refusal")


def left_out(world: World) -> list[NotTested]:
    return [each for each in world.findings if isinstance(each, NotTested)]


def why(world: World) -> dict[tuple[Kind, str], str]:
    found = untested.reasons(world.settings, restored(world.state.watches[VERSION]))
    return {subject: missing.reason for subject, missing in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("right", "for_good"), [(0.0, True), (0.05, True), (0.15, False)])
def test_a_reference_whose_labels_nearly_all_say_wrong_tests_nothing(right: float, for_good: bool) -> None:
    world = make(2)
    world.label(world.serve(300), right)
    for _ in range(10):
        world.label(world.serve(200), 0.0)
    assert world.alarms("quality") == world.alarms("estimated_quality") == []
    assert known_baseline(world.settings, world.state, VERSION).limit is None
    kinds = ["quality", "estimated_quality"] if for_good else []
    assert [(each.kind, each.version) for each in left_out(world)] == [(kind, VERSION) for kind in kinds]
    said = "say wrong: there is no room above that" if for_good else "say wrong so far"
    assert f"of the reference's 300 labels {said}" in why(world)["quality", ""]


def test_where_half_of_the_labels_say_right_harm_is_proven_as_before() -> None:
    world = make(3)
    world.label(world.serve(300), 0.5)
    world.label(world.serve(300), 0.1)
    assert len(world.alarms("quality")) == 1
    assert left_out(world) == []
    assert ("quality", "") not in why(world)


def test_labels_that_come_late_may_make_a_test_and_take_it_away() -> None:
    world = make(4)
    ids = world.serve(300)
    world.label(ids[::7], 0.0)
    world.label(world.serve(100), 0.0)
    assert world.alarms("quality") == []
    assert len(left_out(world)) == 2
    world.label(ids, 1.0)
    assert known_baseline(world.settings, world.state, VERSION).limit is not None
    world.label(world.serve(100), 0.0)
    assert len(world.alarms("quality")) == 1
    assert len(left_out(world)) == 2

    other = make(4)
    ids = other.serve(300)
    other.label(ids[::7], 1.0)
    other.label(other.serve(100), 0.0)
    assert len(other.alarms("quality")) == 1
    other.label(ids, 0.0)
    over = [each for each in other.findings if isinstance(each, AlarmEnd)]
    assert [(each.kind, each.cause) for each in over] == [("quality", "untested")]


def test_that_there_is_no_room_is_said_for_good_only_where_the_labels_prove_it() -> None:
    """Twenty-four wrong ones of thirty may be chance: of all the labels that come, three quarters are wrong."""
    at = make(7)
    ids = at.serve(300)
    at.label(ids[:30], [k >= 24 for k in range(30)])
    at.label(at.serve(10), 0.2)
    assert left_out(at) == []
    assert "24 of the reference's 30 labels say wrong so far" in why(at)["quality", ""]
    assert "More labels of the reference may show that it is not" in why(at)["quality", ""]
    at.label(ids[30:], [k % 3 == 0 for k in range(270)])
    assert ("quality", "") not in why(at)
    assert left_out(at) == []
    hopeless = make(7)
    hopeless.label(hopeless.serve(300)[:60], 0.0)
    hopeless.label(hopeless.serve(10), 0.0)
    assert [each.kind for each in left_out(hopeless)] == ["quality", "estimated_quality"]


def test_a_flag_that_nearly_all_answers_carry_is_not_tested() -> None:
    world = make(5)
    made = world.rng.standard_normal((1_500, len(NAMES)))
    made[:, -2:] = -np.abs(made[:, -2:])
    made[:, [i for i, name in enumerate(NAMES) if name.startswith("output_") and name != "output_chars"]] = 0.0
    made[:300, REFUSAL] = world.rng.random(300) < 0.95
    made[300:, REFUSAL] = 1.0
    for low in range(0, 1_500, 100):
        world.serve(100, values=made[low : low + 100])
    assert world.alarms("safety") == []
    (found,) = (each for each in left_out(world) if each.kind == "safety")
    assert found.about == "output_refusal"
    assert "of 300 answers of the reference carry it" in found.reason
    assert found.reason == why(world)["safety", "output_refusal"]


def test_labels_that_are_lacking_are_a_reason_too() -> None:
    world = make(6)
    world.serve(300)
    assert why(world)["quality", ""] == "0 answers of the reference are labelled, 30 are needed"
    assert left_out(world) == []


def test_a_gap_that_nothing_could_exceed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tolerated is 0\.89, expected a share from 0 to 0\.6"):
        Fairness(tolerated=0.89)
