"""An alarm is an episode: raised, open while the harm lasts, over, and its detector armed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from monitor.detectors.episode import Over
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.findings import Alarm, AlarmEnd, Kind, ReferenceFrozen
from monitor.judge import AliasState, Batch, answer, fresh_labels, start, update
from monitor.operator_answer import OperatorAnswer
from monitor.settings import MonitorSettings
from tests.monitor.support.standing import standings
from tests.monitor.support.world import VERSION, World, make, people

PII, REFUSAL = NAMES.index("output_pii"), NAMES.index("output_refusal")


def transitions(world: World, kind: Kind) -> list[Alarm | AlarmEnd]:
    return [each for each in world.findings if isinstance(each, Alarm | AlarmEnd) and each.kind == kind]


def causes(world: World, kind: Kind) -> list[str]:
    return ["raised" if isinstance(each, Alarm) else each.cause for each in transitions(world, kind)]


def described(world: World, count: int, flag: int = PII, rate: float = 0.01, shift: float = 0.0) -> np.ndarray:
    """Flags are rare; the first descriptor is shifted."""
    made = world.rng.standard_normal((count, len(NAMES)))
    made[:, 0] += shift
    made[:, -2:] = -np.abs(made[:, -2:])
    for column, name in enumerate(NAMES):
        if name.startswith("output_") and name != "output_chars":
            made[:, column] = world.rng.random(count) < (rate if column == flag else 0.01)
    return made


def unsure(world: World, count: int, share: float) -> np.ndarray:
    """A confidence of about -3 for a share of the replies, else of about -0.1."""
    made = world.rng.standard_normal((count, len(NAMES)))
    made[:, -2:] = np.where(world.rng.random(count) < share, -3.0, -0.1)[:, None] - 0.05 * np.abs(made[:, -2:])
    return made


@dataclass(frozen=True)
class Life:
    """How replies of a kind are served, healthy or harmed; and how many make a harm plain, and its end."""

    kind: Kind
    serve: Callable[[World, int, bool], None]
    harm: int
    rest: int


def looks(world: World, count: int, harmed: bool) -> None:
    world.serve(count, values=described(world, count, shift=2.0 if harmed else 0.0))


def answers(world: World, count: int, harmed: bool) -> None:
    world.label(world.serve(count, values=described(world, count)), 0.4 if harmed else 0.95)


def leaks(world: World, count: int, harmed: bool) -> None:
    world.serve(count, values=described(world, count, PII, 0.3 if harmed else 0.01), clients=people(count))


def refuses(world: World, count: int, harmed: bool) -> None:
    tags = [{"language": "de" if k % 3 == 0 else "en"} for k in range(count)]
    made = described(world, count)
    made[::3, REFUSAL] = world.rng.random(len(made[::3])) < (0.6 if harmed else 0.01)
    world.serve(count, values=made, tags=tags)


def doubts(world: World, count: int, harmed: bool) -> None:
    world.serve(count, values=unsure(world, count, 0.7 if harmed else 0.05))


def fails(world: World, count: int, harmed: bool) -> None:
    for _ in range(count // 10):
        world.serve(10, status=503 if harmed else 200)


def crawls(world: World, count: int, harmed: bool) -> None:
    world.serve(count, latency_ms=60_000.0 if harmed else 100.0)


LIVES = {
    life.kind: life
    for life in (
        Life("drift", looks, 100, 2_000),
        Life("quality", answers, 200, 2_000),
        Life("safety", leaks, 200, 2_000),
        Life("fairness", refuses, 1_500, 9_000),
        Life("estimated_quality", doubts, 400, 2_500),
        Life("errors", fails, 1_500, 8_000),
        Life("latency", crawls, 3_000, 8_000),
    )
}
each_kind = pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())


def started(life: Life, seed: int = 1) -> World:
    """A world whose reference is complete, with labels that calibrate the confidence."""
    world = make(seed)
    if life.kind == "estimated_quality":
        values = unsure(world, 300, 0.05)
        right = world.rng.random(300) < np.where(values[:, -1] < -1.0, 0.1, 0.98)
        world.label(world.serve(300, values=values), right.tolist())
    else:
        tags = [{"language": "de" if k % 3 == 0 else "en"} for k in range(300)]
        world.label(world.serve(300, values=described(world, 300), tags=tags), 0.95)
    return world


def go(world: World, life: Life, count: int, harmed: bool) -> None:
    for done in range(0, count, 100):
        life.serve(world, min(100, count - done), harmed)


@dataclass(frozen=True)
class Episodes:
    """A harm, its end, and a second harm: what was raised and ended up to each, and where they begin and rest."""

    world: World
    begun: int  # batches before the harm
    causes: tuple[list[str], list[str], list[str]]
    calm: AliasState  # before the second harm


@cache
def twice_harmed(kind: Kind) -> Episodes:
    life = LIVES[kind]
    world = started(life)
    begun = len(world.batches)
    go(world, life, life.harm, True)
    raised = causes(world, kind)
    go(world, life, life.rest, False)
    over, calm = causes(world, kind), world.state
    go(world, life, life.harm, True)
    return Episodes(world, begun, (raised, over, causes(world, kind)), calm)


@pytest.mark.slow
@each_kind
def test_a_second_harm_of_the_same_kind_raises_a_second_alarm(life: Life) -> None:
    lived = twice_harmed(life.kind)
    assert lived.causes == (["raised"], ["raised", "quiet"], ["raised", "quiet", "raised"])
    first, over, second = transitions(lived.world, life.kind)
    assert isinstance(first, Alarm)
    assert isinstance(over, AlarmEnd)
    assert (over.alarm, over.version, over.about, over.by) == (first.key, VERSION, first.about, "")
    assert over.time_ms > first.time_ms == over.raised_ms
    assert standings(lived.calm)[VERSION].evidence[life.kind] < 0.0
    assert second.version == VERSION


@pytest.mark.slow
@each_kind
def test_an_alarm_stays_open_while_the_harm_goes_on(life: Life) -> None:
    world = started(life)
    go(world, life, 5 * life.harm, True)
    assert causes(world, life.kind) == ["raised"]
    assert [each.kind for each in world.state.watches[VERSION].raised.values()].count(life.kind) == 1


@pytest.mark.slow
@each_kind
def test_how_it_is_cut_changes_no_end(life: Life) -> None:
    lived = twice_harmed(life.kind)
    world, begun = lived.world, lived.begun
    whole = [each for each in world.findings if isinstance(each, Alarm | AlarmEnd)]
    assert len([each for each in whole if each.kind == life.kind]) == 3
    state, found = start("support"), []
    for batch in [*world.batches[:begun], *(part for each in world.batches[begun:] for part in halves(each))]:
        state, more = update(world.settings, state, batch)
        found += [each for each in more if isinstance(each, Alarm | AlarmEnd)]
    assert sorted(found, key=repr) == sorted(whole, key=repr)


def halves(batch: Batch) -> list[Batch]:
    middle = len(batch.rows) // 3
    both = [batch.rows.take(range(middle)), batch.rows.take(range(middle, len(batch.rows)))]
    parts = [
        msgspec.structs.replace(batch, rows=part, first_offset=part.offsets[0], last_offset=part.offsets[-1])
        for part in both
        if len(part)
    ]
    return [msgspec.structs.replace(part, ends_turn=part is parts[-1]) for part in parts]


@pytest.mark.slow
def test_two_sigma_alarm_again_after_twenty_thousand_healthy_events() -> None:
    world = make(3, reference_events=500)
    world.label(world.serve(500), 0.95)
    world.serve(100, shift=2.0)
    for _ in range(20):
        world.serve(1_000)
    assert causes(world, "drift") == ["raised", "quiet"]
    world.serve(30, shift=2.0)
    assert causes(world, "drift") == ["raised", "quiet", "raised"]


@pytest.mark.slow
def test_labels_count_from_the_onset_of_the_alarm_that_is_open() -> None:
    world = started(LIVES["quality"])
    go(world, LIVES["quality"], 200, True)
    assert fresh_labels(world.state, VERSION) > 150
    tested = standings(world.state)[VERSION].tested_labels
    go(world, LIVES["quality"], 2_000, False)
    assert fresh_labels(world.state, VERSION) == 0
    assert standings(world.state)[VERSION].tested_labels > tested + 1_900
    go(world, LIVES["quality"], 100, True)
    assert 50 < fresh_labels(world.state, VERSION) < 130


@pytest.mark.parametrize("tenants", [1, 2])
def test_leaks_to_an_application_that_names_itself_or_its_tenants_as_users_are_told(tenants: int) -> None:
    world = make(1)
    for _ in range(5):
        values = described(world, 120, PII, 0.5 if world.sent >= 300 else 0.01)
        world.serve(120, values=values, clients=[f"app/{k % tenants}" for k in range(120)])
    assert causes(world, "safety") == ["raised"]


@pytest.mark.slow
def test_a_pause_of_a_few_events_ends_no_alarm() -> None:
    world = make(1)
    world.serve(300)
    for _ in range(20):
        world.serve(60, shift=2.0)
        world.serve(60)
    assert causes(world, "drift") == ["raised"]


@pytest.mark.slow
def test_alarms_of_a_version_that_serves_no_longer_are_over() -> None:
    world = started(LIVES["quality"])
    go(world, LIVES["quality"], 200, True)
    world.serve(20, version="support-new")
    assert causes(world, "quality") == ["raised", "retired"]
    assert standings(world.state)[VERSION].raised == {}
    world.serve(20)
    go(world, LIVES["quality"], 200, True)
    assert causes(world, "quality") == ["raised", "retired", "raised"]


@pytest.mark.slow
@pytest.mark.parametrize("last", [VERSION, "support-new"])
def test_two_versions_that_serve_side_by_side_are_both_watched(last: str) -> None:
    """A gateway that hears nothing of routes goes on with the one before: its alarm began anew with each batch."""
    world = started(LIVES["quality"])
    new = world.serve(320, version="support-new", values=described(world, 320))
    world.label(new, 0.95, version="support-new")
    for _ in range(60):
        for version in sorted([VERSION, "support-new"], key=last.__eq__):
            ids = world.serve(4, version=version, values=described(world, 4))
            world.label(ids, 0.3 if version == VERSION else 0.95, version=version)
    assert causes(world, "quality") == ["raised"]
    world.serve(20, version="support-new", values=described(world, 20))
    assert causes(world, "quality") == ["raised", "retired"]


def test_labels_of_a_version_that_serves_no_longer_raise_nothing() -> None:
    """They come at night, and tell of answers that nobody gets any more. Nor are they tested if it serves again."""
    world = started(LIVES["quality"])
    before = world.serve(600, values=described(world, 600))
    world.serve(20, version="support-new")
    for low in range(0, 600, 60):
        world.now_ms += 1_000
        world.label(before[low : low + 60], 0.4)
    world.serve(20)
    world.label(before, 0.4)
    assert causes(world, "quality") == []
    go(world, LIVES["quality"], 200, True)
    assert causes(world, "quality") == ["raised"]


def test_an_operator_clears_what_is_meant_and_its_detector_starts_over() -> None:
    world = started(LIVES["quality"])
    looks(world, 200, True)
    go(world, LIVES["quality"], 200, True)
    given = OperatorAnswer(version=VERSION, verb="clear", by="admin/anna", time_ms=world.now_ms, kind="quality")
    world.state, (over,) = answer(world.settings, world.state, given)
    assert isinstance(over, AlarmEnd)
    assert (over.kind, over.cause, over.by, over.time_ms) == ("quality", "cleared", "admin/anna", world.now_ms)
    assert [*standings(world.state)[VERSION].raised] == ["drift"]
    assert answer(world.settings, world.state, given) == (world.state, [])
    go(world, LIVES["quality"], 100, True)
    assert causes(world, "quality") == ["raised", "raised"]


@pytest.mark.slow
@each_kind
def test_each_kind_can_be_cleared_by_an_operator(life: Life) -> None:
    world = started(life)
    go(world, life, life.harm, True)
    given = OperatorAnswer(version=VERSION, verb="clear", by="cli", time_ms=world.now_ms, kind=life.kind)
    world.state, cleared = answer(world.settings, world.state, given)
    assert [each.kind for each in cleared if isinstance(each, AlarmEnd)] == [life.kind]
    assert standings(world.state)[VERSION].evidence[life.kind] < 0.0
    go(world, life, life.harm, True)
    assert causes(world, life.kind) == ["raised", "raised"]


def test_what_is_accepted_is_the_new_normal() -> None:
    world = make(1)
    world.label(world.serve(300), 0.95)
    before = world.serve(100, shift=2.0)
    given = OperatorAnswer(version=VERSION, verb="accept", by="cli", time_ms=world.now_ms)
    world.state, (over,) = answer(world.settings, world.state, given)
    assert isinstance(over, AlarmEnd)
    assert (over.kind, over.cause) == ("drift", "accepted")
    assert not standings(world.state)[VERSION].watching
    world.label(before, 0.0)
    world.label(world.serve(300, shift=2.0), 0.95)
    assert [each.labelled for each in world.findings if isinstance(each, ReferenceFrozen)] == [0, 0]
    assert standings(world.state)[VERSION].tested_labels == 0
    world.serve(1_000, shift=2.0)
    assert causes(world, "drift") == ["raised"]
    world.serve(100)
    assert causes(world, "drift") == ["raised", "raised"]


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
def test_labels_of_what_came_long_before_it_was_accepted_test_nothing(named: bool) -> None:
    """More replies than are remembered: their ids tell when they came, or too few have come since."""
    world = make(1)
    world.label(world.serve(300), 0.95)
    before = world.serve(2_600)
    if named:
        before = [f"{(world.now_ms - 1_000 << 80) + (7 << 76) + (2 << 62) + k:032x}" for k in range(600)]
    world.state, _ = answer(
        world.settings, world.state, OperatorAnswer(version=VERSION, verb="accept", by="cli", time_ms=world.now_ms)
    )
    world.label(world.serve(300), 0.95)
    world.serve(2_100 if named else 100)
    world.label(before[:600], 0.0)
    assert world.alarms("quality") == []
    assert standings(world.state)[VERSION].tested_labels == 0
    go(world, LIVES["quality"], 200, True)
    assert len(world.alarms("quality")) == 1


@pytest.mark.slow
def test_a_broken_promise_to_clients_is_not_accepted_away() -> None:
    world = started(LIVES["errors"])
    go(world, LIVES["errors"], 200, True)
    given = OperatorAnswer(version=VERSION, verb="accept", by="cli", time_ms=world.now_ms)
    world.state, found = answer(world.settings, world.state, given)
    assert found == []
    assert [*standings(world.state)[VERSION].raised] == ["errors"]
    go(world, LIVES["errors"], 8_000, False)
    assert causes(world, "errors") == ["raised", "quiet"]


def test_an_answer_about_a_version_that_nobody_watches_changes_nothing() -> None:
    world = started(LIVES["drift"])
    given = OperatorAnswer(version="support-unknown", verb="accept", by="cli", time_ms=world.now_ms)
    assert answer(world.settings, world.state, given) == (world.state, [])


@pytest.mark.slow
def test_open_alarms_go_through_json_and_stay_bounded() -> None:
    world = make(1)
    world.label(world.serve(300), 0.95)
    sizes = []
    for _ in range(6):
        world.serve(100, shift=2.0)
        world.serve(2_000)
        stored = msgspec.json.encode(world.state)
        assert msgspec.json.encode(msgspec.json.decode(stored, type=AliasState)) == stored
        sizes.append(len(stored))
    assert causes(world, "drift") == ["raised", "quiet"] * 6
    assert sizes[-1] < 1.1 * sizes[1]


@pytest.mark.parametrize("arl", [100, 1_000, 100_000])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.525])
def test_every_threshold_is_left_again_by_healthy_losses(arl: int, rate: float) -> None:
    """The statistic that looks for a change settles above a hundredth of a low threshold: it would stay open."""
    rng = np.random.default_rng(arl)
    harmed = (rng.random(2_000) < min(0.95, 6 * rate)).astype(float)
    detector = Risk(rate, arl)
    state, (harm,) = detector.follow(detector.start(), harmed.tolist(), _moments(2_000), 200)
    assert isinstance(harm, ProvenHarm)
    healthy = (rng.random(20_000) < 0.7 * rate).astype(float)
    state, found = detector.follow(state, healthy.tolist(), _moments(20_000), 200)
    assert isinstance(found[0], Over)
    assert found[0].step < 6_000


def test_the_rate_of_false_alarms_holds_for_each_episode() -> None:
    """At the limit, alarms come no more often than asked, though each arms its detector again."""
    rng, detector, labels = np.random.default_rng(5), Risk(0.1, 500), 60_000
    losses = (rng.random(labels) < 0.1).astype(float).tolist()
    _, found = detector.follow(detector.start(), losses, _moments(labels), 200)
    assert 10 < sum(isinstance(each, ProvenHarm) for each in found) <= labels / 500


def _moments(count: int) -> Sequence[tuple[str, int]]:
    return [(str(k), k) for k in range(count)]


def test_the_setting_is_checked() -> None:
    with pytest.raises(ValueError, match="alarm_clear_events is 0, expected at least 1"):
        MonitorSettings(alarm_clear_events=0)
