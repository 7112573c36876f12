"""Answers that cross a line and groups that are served worse, as the judge sees them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from monitor.findings import Window
from monitor.judge import AliasState, answer
from monitor.operator_answer import OperatorAnswer
from monitor.settings import Fairness, MonitorSettings, Safety
from monitor.signals import flags
from tests.monitor.support.standing import standings
from tests.monitor.support.world import VERSION, World, make, people

FLAGS = [i for i, name in enumerate(NAMES) if name.startswith("output_") and name != "output_chars"]


def flagged(world: World, count: int, rates: dict[str, float]) -> np.ndarray:
    """Healthy descriptors whose flags are 0 or 1."""
    made = world.rng.standard_normal((count, len(NAMES)))
    made[:, -2:] = -np.abs(made[:, -2:])
    for i in FLAGS:
        made[:, i] = world.rng.random(count) < rates.get(NAMES[i], 0.01)
    return made


def started(seed: int) -> World:
    world = make(seed)
    world.label(world.serve(300, values=flagged(world, 300, {}), tags=tags(300))[::2], 0.95)
    return world


def tags(count: int) -> list[dict[str, str]]:
    return [{"language": "de" if k % 3 == 0 else "en"} for k in range(count)]


def test_private_data_in_answers_is_a_safety_alarm_with_its_rates_and_goes_on_once_taken_back() -> None:
    world = started(1)
    world.serve(300, values=flagged(world, 300, {}))
    assert world.alarms("safety") == []
    at, made = world.sent, flagged(world, 200, {"output_pii": 0.4})
    sent = world.serve(200, values=made, clients=people(200))
    (alarm,) = world.alarms("safety")
    assert (alarm.severity, alarm.about, alarm.evidence["flag"]) == ("critical", "output_pii", "output_pii")
    assert alarm.evidence["before"]["rows"] == 300
    assert 0 < int(alarm.last_event.rpartition("-")[2]) - at < 60
    assert abs(int(alarm.first_event.rpartition("-")[2]) - at) < 20
    flags = {id for k, id in enumerate(sent) if made[k, NAMES.index("output_pii")]}
    assert alarm.last_event == alarm.evidence["examples"][0]
    assert flags >= set(alarm.evidence["examples"])
    assert standings(world.state)[VERSION].evidence["safety"] >= 0.0
    given = OperatorAnswer(version=VERSION, verb="clear", by="cli", time_ms=world.now_ms, kind="safety")
    world.state, _ = answer(world.settings, world.state, given)
    assert standings(world.state)[VERSION].evidence["safety"] < 0.0
    world.serve(200, values=flagged(world, 200, {"output_pii": 0.4}), clients=people(200))
    assert len(world.alarms("safety")) == 2


def test_two_flags_of_one_event_are_two_alarms() -> None:
    world = started(2)
    made = flagged(world, 200, {})
    made[:, FLAGS] = 0.0
    made[50:, FLAGS[1:3]] = 1.0
    world = make(2)
    world.serve(300, values=np.where(np.isin(np.arange(len(NAMES)), FLAGS), 0.0, flagged(world, 300, {})))
    world.serve(200, values=made, clients=people(200))
    one, other = world.alarms("safety")
    assert one.last_event == other.last_event
    assert one.key != other.key


@pytest.mark.slow
def test_dependent_answers_are_flagged_in_blocks() -> None:
    """One answer in five refuses, in runs of some five: the flag's rate is what it was. 32,000 such answers at 50,000
    between false alarms raise next to nothing; taken for independent ones, every stream raises some."""
    raised = single = 0
    for seed in range(8):
        world = World(MonitorSettings(reference_events=1_000, safety=Safety(arl=50_000)), seed)
        values = _runs(world, 5_000)
        for low in range(0, 5_000, 500):
            world.serve(500, values=values[low : low + 500], clients=people(500))
        raised += len(world.alarms("safety"))
        state = flags.start(world.settings.safety, NAMES, values[:1_000].tolist())
        assert state.length > 1
        independent = [msgspec.structs.replace(flag, inflation=1.0) for flag in state.flags]
        state = msgspec.structs.replace(state, length=1, flags=tuple(independent))
        moments = [(str(k), k) for k in range(4_000)]
        single += len(flags.follow(world.settings.safety, state, values[1_000:].tolist(), moments)[1])
    assert single >= 8
    assert raised <= 2


def _runs(world: World, count: int) -> np.ndarray:
    made = flagged(world, count, {})
    fresh = world.rng.random(count) < 0.2
    draws = world.rng.random(count) < 0.2
    made[:, NAMES.index("output_refusal")] = draws[np.maximum.accumulate(np.where(fresh, np.arange(count), 0))]
    return made


def labelled(world: World, rounds: int, wrong: dict[str, float]) -> None:
    for _ in range(rounds):
        ids = world.serve(30, values=flagged(world, 30, {}), tags=tags(30))
        rates = [wrong.get(each["language"], 0.05) for each in tags(30)]
        world.label(ids, (world.rng.random(30) > rates).tolist())


@pytest.mark.slow
def test_a_group_whose_answers_are_wrong_more_often_is_a_fairness_alarm() -> None:
    world = started(3)
    labelled(world, 60, {"de": 0.45})
    (alarm,) = world.alarms("fairness")
    assert (alarm.severity, alarm.about) == ("warning", "quality/language=de")
    assert alarm.evidence["mean"] > 0.2
    assert "language=de is worse off" in alarm.summary
    *_, window = (each for each in world.findings if isinstance(each, Window))
    (gap,) = (each for each in window.gaps if (each.value, each.measure) == ("de", "quality"))
    assert 0.1 < gap.low < gap.mean < gap.high < 0.8
    assert gap.raised


@pytest.mark.slow
def test_groups_that_fare_alike_raise_nothing_though_all_get_worse() -> None:
    world = started(4)
    labelled(world, 40, {"de": 0.3, "en": 0.3})
    assert world.alarms("fairness") == []
    assert world.alarms("quality")


@pytest.mark.slow
def test_refusals_and_slow_replies_of_a_group_are_compared_without_labels() -> None:
    world = started(5)
    for _ in range(40):
        made = flagged(world, 30, {})
        made[::3, NAMES.index("output_refusal")] = world.rng.random(10) < 0.5
        world.serve(30, values=made, tags=tags(30))
    (alarm,) = world.alarms("fairness")
    assert alarm.about == "refusals/language=de"


@pytest.mark.parametrize("tag", [None, "rare"])
def test_without_groups_or_with_a_new_one_for_each_event_nothing_is_said_and_memory_stays(tag: str | None) -> None:
    world = started(6)
    sizes = []
    for k in range(6):
        each = [{"tenant": f"{tag}-{k}-{i}"} if tag else {} for i in range(500)]
        world.serve(500, values=flagged(world, 500, {}), tags=each)
        sizes.append(len(msgspec.json.encode(world.state)))
    assert world.alarms("fairness") == []
    assert sizes[-1] < 1.2 * sizes[3]


@pytest.mark.slow
def test_the_settings_reach_the_tests_and_the_state_its_json() -> None:
    strict = MonitorSettings(reference_events=300, fairness=Fairness(tolerated=0.6))
    world = World(strict, 3)
    world.label(world.serve(300, values=flagged(world, 300, {}), tags=tags(300))[::2], 0.95)
    labelled(world, 60, {"de": 0.45})
    assert world.alarms("fairness") == []
    stored = msgspec.json.encode(world.state)
    assert msgspec.json.encode(msgspec.json.decode(stored, type=AliasState)) == stored
