"""Each kind of world through the pure parts of the loop: harm is found, mended by a candidate that is right, and not by
one that is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.world.kinds import WORLD_KINDS, WorldKind
from deploy.demo.world.users import VOLUNTEERED
from monitor.watch import untested
from monitor.watch.record import restored
from tests.deploy.support.pure_loop import HARMED, RIGHT, SETTINGS, VERSION, PureLoop

HEALTHY, SOON = 1_200, 200  # replies
LEARNED, PATIENT = 12_000, 3_000  # replies by which complaints have a usual rate, and within which they rise
TAUGHT, ENOUGH = 800, 20  # replies after the alarm, and rows that a dataset keeps of them at least

FAIR = [kind for kind in WORLD_KINDS if kind not in VOLUNTEERED]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAIR)
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
    why = untested.lines(untested.reasons(SETTINGS, restored(loop.state.watches[VERSION])))
    assert any("no harm can be proven" in line for line in why)
    if kind == "thumbs":
        with pytest.raises(ValueError, match="more feedback is needed"):
            loop.dataset(tmp_path, loop.alarms("complaints")[0].onset_ms)
    else:
        dataset = loop.dataset(tmp_path, loop.alarms("complaints")[0].onset_ms)
        assert (len(dataset.train) > 0, dataset.validation) == (True, [])
        assert (await loop.verdict(dataset, "candidate", RIGHT)).status == "inconclusive"
