"""Each kind of world through the pure parts of the loop: harm is found, mended by a candidate that is right, and not by
one that is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.world.kinds import WORLD_KINDS, WorldKind
from deploy.demo.world.users import VOLUNTEERED
from monitor.judge import fresh_labels
from monitor.policy import AskLabels, AskRetraining, Decision, NewAlarm, PolicyObservation, PolicyState, decide
from monitor.settings import PolicySettings
from monitor.watch import untested
from monitor.watch.record import restored
from tests.deploy.support.pure_loop import HARMED, RIGHT, SETTINGS, VERSION, PureLoop

HEALTHY, SOON = 1_200, 200  # replies
LEARNED, PATIENT = 12_000, 3_000  # replies by which complaints have a usual rate, and within which they rise
TAUGHT, ENOUGH = 800, 20  # replies after the alarm, and rows that a dataset keeps of them at least

LABELLED = [kind for kind in WORLD_KINDS if kind not in VOLUNTEERED and kind != "thumbs"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", LABELLED)
async def test_harm_is_found_and_only_a_candidate_that_is_better_is_promoted(kind: WorldKind, tmp_path: Path) -> None:
    loop = PureLoop(kind)
    await loop.go_on(HEALTHY, RIGHT)
    assert loop.alarms("quality") == []
    assert await loop.until("quality", SOON, HARMED) is not None
    await loop.go_on(TAUGHT, HARMED, later=True)
    dataset = loop.dataset(tmp_path, loop.alarms("quality")[0].onset_ms)
    assert min(len(dataset.train), len(dataset.validation), len(dataset.regression)) > ENOUGH, dataset.dropped
    assert (await loop.verdict(dataset, "candidate", RIGHT)).status == "promote"
    assert (await loop.verdict(dataset, VERSION, HARMED)).status != "promote"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "found"), [("bare", True), ("sure", False)])
async def test_without_labels_the_confidence_finds_harm_unless_the_model_is_always_sure(
    kind: WorldKind, found: bool
) -> None:
    loop = PureLoop(kind)
    await loop.go_on(HEALTHY, RIGHT)
    await loop.go_on(TAUGHT, HARMED, silent=True)
    assert bool(loop.alarms("estimated_quality")) == found


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(VOLUNTEERED))
async def test_what_users_volunteer_is_an_alarm_and_promotes_nothing(kind: WorldKind, tmp_path: Path) -> None:
    loop = PureLoop(kind)
    await loop.go_on(LEARNED, RIGHT)
    assert loop.alarms("complaints") == []
    assert await loop.until("complaints", PATIENT, HARMED) is not None
    assert loop.alarms("quality") == []
    assert not any(isinstance(each, AskRetraining) for each in decided(loop, "complaints"))
    why = untested.lines(untested.reasons(SETTINGS, restored(loop.state.watches[VERSION])))
    assert any("no harm can be proven" in line for line in why)
    dataset = loop.dataset(tmp_path, loop.alarms("complaints")[0].onset_ms)
    assert (len(dataset.train) > 0, dataset.validation) == (True, [])
    assert (await loop.verdict(dataset, "candidate", RIGHT)).status == "inconclusive"


@pytest.mark.slow
async def test_thumbs_given_by_chance_prove_harm_and_ask_for_labels_to_learn_from(tmp_path: Path) -> None:
    loop = PureLoop("thumbs")
    await loop.go_on(HEALTHY, RIGHT)
    assert loop.alarms("quality") == []
    assert await loop.until("quality", 2 * SOON, HARMED) is not None
    (alarm,) = loop.alarms("quality")
    assert "has a thumb down on" in alarm.summary
    await loop.go_on(TAUGHT, HARMED, later=True)
    assert loop.alarms("complaints") == []
    (asked,) = decided(loop, "quality")
    assert isinstance(asked, AskLabels)
    assert asked.reason == "harm is proven; a retraining needs 200 labels since the onset, there are 0"
    with pytest.raises(ValueError, match="more feedback is needed"):
        loop.dataset(tmp_path, alarm.onset_ms)


def decided(loop: PureLoop, kind: str) -> list[Decision]:
    """What the policy makes of the alarm, with the labels that there are now."""
    (alarm,) = loop.alarms(kind)
    new = NewAlarm(alarm_id="alarm", kind=alarm.kind, version=VERSION, onset_ms=alarm.onset_ms)
    labels = fresh_labels(loop.state, VERSION)
    seen = PolicyObservation(champion=VERSION, time_ms=loop.now_ms, alarms=[new], fresh_labels=labels)
    return decide(PolicySettings(), PolicyState(), seen)[1]
