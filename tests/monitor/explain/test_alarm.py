"""What an alarm shows of itself: the slice that explains it, examples, and which events to label."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from monitor.describe.fingerprint import event_print
from monitor.findings import Alarm, LabelsWanted
from monitor.judge import AliasState
from monitor.signals.interface import MissingTest
from monitor.watch import untested
from monitor.watch.record import restored
from tests.monitor.support.standing import standings
from tests.monitor.support.world import VERSION, World, make

pytestmark = pytest.mark.slow

LANGUAGES = [{"language": "de"}, {"language": "en"}, {"language": "fr"}, {"language": "en"}]


def tags(count: int) -> list[dict[str, str]]:
    return [LANGUAGES[k % 4] for k in range(count)]


def german(alarm: Alarm) -> bool:
    return all(int(id.rpartition("-")[2]) % 4 == 0 for id in alarm.evidence["examples"])


def started(seed: int, **changes: int | float) -> World:
    world = make(seed, **changes)
    world.label(world.serve(300, tags=tags(300))[::2], 0.95)
    return world


def values(world: World, count: int) -> np.ndarray:
    made = world.rng.standard_normal((count, len(NAMES)))
    made[:, -2:] = -np.abs(made[:, -2:])
    return made


@pytest.mark.parametrize(("column", "sign"), [(0, 1.0), (3, -1.0)])
def test_drift_names_the_slice_in_which_it_happens_and_examples_of_it(column: int, sign: float) -> None:
    world = started(2)
    made = values(world, 400)
    made[::4, column] += 3.0 * sign
    world.serve(400, values=made, tags=tags(400))
    (alarm,) = world.alarms("drift")
    assert alarm.evidence["slice"]["name"] == "language=de"
    assert alarm.evidence["slice"]["mean"] > alarm.evidence["slice"]["elsewhere"] + 1.5
    assert NAMES[column] in alarm.evidence["slice"]["measure"]
    assert "language=de" in alarm.summary
    assert len(alarm.evidence["examples"]) >= 3
    assert german(alarm)


def test_drift_everywhere_names_no_slice() -> None:
    world = started(3)
    world.serve(200, shift=1.0, tags=tags(200))
    (alarm,) = world.alarms("drift")
    assert alarm.evidence["slice"] is None
    assert "Mostly where" not in alarm.summary


def test_harm_names_the_slice_whose_answers_are_wrong() -> None:
    world = started(4)
    for _ in range(40):
        ids = world.serve(8, tags=tags(8))
        world.label(ids, [k % 4 != 0 for k in range(8)])
    (alarm,) = world.alarms("quality")
    assert alarm.evidence["slice"]["name"] == "language=de"
    assert alarm.evidence["slice"]["mean"] == 1.0
    assert german(alarm)


def test_a_language_that_was_always_worse_is_not_blamed_where_all_got_worse() -> None:
    """German answers were wrong more often than others from the start; now all are, by as much."""
    blamed = []
    for seed in range(10):
        world = make(seed)
        rates = np.array([0.3 if each["language"] == "de" else 0.05 for each in tags(300)])
        world.label(world.serve(300, tags=tags(300)), (world.rng.random(300) > rates).tolist())
        for _ in range(60):
            later = np.array([0.6 if each["language"] == "de" else 0.35 for each in tags(8)])
            world.label(world.serve(8, tags=tags(8)), (world.rng.random(8) > later).tolist())
        (alarm,) = world.alarms("quality")
        blamed += [alarm.evidence["slice"]["name"]] if alarm.evidence["slice"] else []
    assert blamed == []


def test_long_questions_of_one_tenant_are_no_reason_where_all_became_longer() -> None:
    """So it is with drift, flags and confidence: what always differed explains nothing."""
    blamed = []
    for seed in range(5):
        world = make(seed)
        usual = np.where(np.arange(300) % 4 == 0, 2.5, 0.0)
        before, now = values(world, 300), values(world, 300)
        before[:, 0] += usual
        now[:, 0] += usual + 2.0
        world.serve(300, values=before, tags=tags(300))
        world.serve(300, values=now, tags=tags(300))
        (alarm,) = world.alarms("drift")
        blamed += [alarm.evidence["slice"]["name"]] if alarm.evidence["slice"] else []
    assert blamed == []


def test_a_tenant_that_is_new_is_named_as_unknown() -> None:
    world = started(5)
    made = values(world, 400)
    made[::4, 0] += 3.0
    named = [LANGUAGES[k // 4 % 4] | ({"tenant": "new"} if k % 4 == 0 else {}) for k in range(400)]
    world.serve(400, values=made, tags=named)
    (alarm,) = world.alarms("drift")
    assert alarm.evidence["slice"] is None
    assert alarm.evidence["slices_unknown"] == ["tenant=new"]
    assert "Of tenant=new the reference holds too little to tell" in alarm.summary


def test_a_state_of_an_earlier_release_blames_nobody() -> None:
    world = started(2)
    old = msgspec.to_builtins(world.state)
    old["watches"][VERSION]["members"] = []
    old["watches"][VERSION]["traits"] = []
    world.state = msgspec.convert(old, AliasState)
    made = values(world, 400)
    made[::4, 0] += 3.0
    world.serve(400, values=made, tags=tags(400))
    (alarm,) = world.alarms("drift")
    assert (alarm.evidence["slice"], alarm.evidence["slices_unknown"]) == (None, ["language=de"])


def unsure(world: World, count: int) -> list[str]:
    """Replies whose confidence fell: half of them about as low as where wrong answers were."""
    made = values(world, count)
    made[:, -1] = np.where(world.rng.random(count) < 0.5, -3.0, -0.5)
    return world.serve(count, values=made)


def calibrated(seed: int) -> World:
    """Confidence tells: low where answers are wrong."""
    world = make(seed, min_reference_labels=30)
    made = values(world, 300)
    right = world.rng.random(300) < 0.9
    made[:, -1] = np.where(right, -0.5, -3.0) + 0.01 * world.rng.standard_normal(300)
    world.label(world.serve(300, values=made), right.tolist())
    return world


def doubts(seed: int) -> tuple[list[float], list[float]]:
    """How unsure the events are that an alarm asks labels for, and how unsure those before were."""
    world = calibrated(seed)
    made = values(world, 100)
    made[:, -1] = np.where(np.arange(100) % 10 == 0, -3.0, -0.5)
    calm = world.serve(100, values=made)
    unsure(world, 100)
    (alarm,) = world.alarms("estimated_quality")
    low, high = alarm.evidence["estimated_interval"]
    assert 0 <= low < alarm.evidence["estimated_accuracy"] < high <= 1
    first = alarm.evidence["label_first"]
    assert len(first) == len(set(first)) == 20
    chances = {event.id: event.chance for event in world.state.watches[VERSION].lately}
    doubt = {id: 4 * chance * (1 - chance) for id, chance in chances.items()}
    return [doubt[id] for id in first], [doubt[id] for id in calm]


def test_estimated_harm_asks_for_labels_of_the_most_informative_events() -> None:
    """Over ten worlds: how much an alarm has seen when it fires is chance."""
    asked, calm = zip(*(doubts(seed) for seed in range(10)), strict=True)
    assert np.mean(asked) > 2 * np.mean(calm)


def test_labels_of_chosen_events_prove_no_harm_but_refute_the_estimate() -> None:
    """Every chosen event was wrong: that is no fair sample of all events, so no harm is proven; but no calibrated
    estimate would have given so many of them a chance."""
    world = calibrated(6)
    unsure(world, 300)
    asked = [id for alarm in world.alarms() for id in alarm.evidence["label_first"]]
    before = standings(world.state)[VERSION]
    sure = [event.id for event in world.state.watches[VERSION].lately if event.chance > 0.8]
    world.state = _asking(world, sure[:100])
    world.label(sure[:100], [False] * len(sure[:100]))
    world.label(asked, [False] * len(asked))
    after = standings(world.state)[VERSION]
    assert world.alarms("quality") == []
    assert after.tested_labels == before.tested_labels
    assert before.estimates_trusted
    assert not after.estimates_trusted
    withdrawn = [each for each in world.findings if isinstance(each, LabelsWanted) and "withdrawn" in each.reason]
    assert len(withdrawn) == 1
    missing = untested.reasons(world.settings, restored(world.state.watches[VERSION]))
    assert missing == {
        ("estimated_quality", ""): MissingTest("labels refuted what confidence promises", for_good=False)
    }


def test_the_same_labels_given_by_chance_do_prove_harm() -> None:
    world = calibrated(6)
    ids = unsure(world, 300)
    asked = {id for alarm in world.alarms() for id in alarm.evidence["label_first"]}
    world.label([id for id in ids if id not in asked], 0.3)
    assert world.alarms("quality")


def _asking(world: World, ids: list[str]) -> AliasState:
    """As if these had been asked for, too."""
    watch = world.state.watches[VERSION]
    watch = msgspec.structs.replace(watch, asked=[*watch.asked, *map(event_print, ids)])
    return msgspec.structs.replace(world.state, watches=world.state.watches | {VERSION: watch})


def test_doubt_that_comes_in_runs_is_judged_in_blocks() -> None:
    """One reply in six is as unsure as wrong ones were, in runs of some five, as in the reference: 24,000 such replies
    raise nothing, though one run alone would look like harm."""
    raised = 0
    for seed in range(8):
        world = make(seed, reference_events=1_000)
        made, right = _runs(world, 4_000)
        world.label(world.serve(1_000, values=made[:1_000]), right[:1_000].tolist())
        for low in range(1_000, 4_000, 500):
            world.serve(500, values=made[low : low + 500])
        assert standings(world.state)[VERSION].block > 1
        raised += len(world.alarms("estimated_quality"))
    assert raised <= 2


def _runs(world: World, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors whose confidence is low in runs, and whether the answers were right: half of the unsure were not."""
    made = values(world, count)
    fresh = world.rng.random(count) < 0.2
    draws = world.rng.random(count) < 1 / 6
    low = draws[np.maximum.accumulate(np.where(fresh, np.arange(count), 0))]
    made[:, -1] = np.where(low, -3.0, -0.5) + 0.01 * world.rng.standard_normal(count)
    return made, ~low | (world.rng.random(count) < 0.5)
