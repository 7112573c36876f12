"""The judge in a simulated world: 300 reference events, half of the replies labelled, 95 % right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.describe.descriptors import MISSING, NAMES
from monitor.findings import SEVERITIES, LabelsWanted, ReferenceFrozen, Window
from monitor.judge import AliasState, Batch, answer, fresh_labels, start, update
from monitor.operator_answer import OperatorAnswer
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from tests.monitor.support.standing import known_baseline, standings
from tests.monitor.support.world import VERSION, World, make


def healthy(world: World, events: int = 300, accuracy: float = 0.95, version: str = VERSION) -> list[str]:
    served: list[str] = []
    for _ in range(0, events, 50):
        ids = world.serve(50, version=version)
        world.label(ids[::2], accuracy, version=version)
        served += ids
    return served


def harmed(world: World, accuracy: float, labels: int) -> int:
    """Labels until the alarm."""
    for given_ in range(1, labels + 1):
        world.label(world.serve(2)[:1], accuracy)
        if world.alarms("quality"):
            return given_
    return labels + 1


def test_the_reference_is_frozen_after_healthy_champion_events() -> None:
    world = make()
    world.serve(10, status=500)
    world.serve(20, arm="canary")
    world.serve(299)
    assert not standings(world.state)[VERSION].watching
    world.serve(1)
    frozen = [each for each in world.findings if isinstance(each, ReferenceFrozen)]
    assert [(each.events, each.block, each.limit) for each in frozen] == [(300, 1, None)]
    assert standings(world.state)[VERSION].reference_events == 300


def test_a_reference_without_labels_asks_for_them() -> None:
    world = make()
    world.serve(300)
    assert [each.version for each in world.findings if isinstance(each, LabelsWanted)] == [VERSION]
    labelled = make()
    healthy(labelled)
    assert [each for each in labelled.findings if isinstance(each, LabelsWanted)] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_healthy_stream_raises_no_quality_alarm(seed: int) -> None:
    world = make(seed)
    healthy(world, 1_300)
    assert world.alarms("quality") == world.alarms("estimated_quality") == []


@pytest.mark.slow
def test_proven_harm_is_noticed_within_thirty_labels() -> None:
    needed = []
    for seed in range(9):
        world = make(seed)
        healthy(world, 600)
        needed.append(harmed(world, 0.55, 100))
    assert np.median(needed) <= 30
    assert max(needed) <= 100


def test_the_quality_alarm_says_what_and_since_when() -> None:
    world = make(3)
    healthy(world, 600)
    began = world.now_ms
    harmed(world, 0.3, 100)
    (alarm,) = world.alarms("quality")
    assert alarm.severity == "critical"
    assert alarm.last_event == world.batches[-1].rows.ids[-1]
    assert abs(alarm.onset_ms - began) < 20_000
    assert alarm.evidence["statistic"] >= alarm.evidence["threshold"]
    assert alarm.evidence["baseline"]["labelled"] == 150
    assert fresh_labels(world.state, VERSION) == alarm.evidence["since_onset"]["count"]


def test_an_alarm_is_raised_once_and_labels_go_on_counting() -> None:
    world = make(4)
    healthy(world)
    harmed(world, 0.3, 100)
    before = fresh_labels(world.state, VERSION)
    world.label(world.serve(200), 0.3)
    assert len(world.alarms("quality")) == 1
    assert fresh_labels(world.state, VERSION) == before + 200
    order = OperatorAnswer(version=VERSION, verb="clear", by="cli", time_ms=world.now_ms)
    world.state, _ = answer(world.settings, world.state, order)
    assert fresh_labels(world.state, VERSION) == 0
    world.label(world.serve(100), 0.3)
    assert len(world.alarms("quality")) == 2


@pytest.mark.parametrize(("shift", "within"), [(1.0, 60), (2.0, 25)])
def test_a_shift_in_one_descriptor_is_drift_and_only_drift(shift: float, within: int) -> None:
    world = make(5)
    healthy(world)
    at = world.sent
    world.label(world.serve(200, shift=shift), 0.95)
    (alarm,) = world.alarms()
    assert (alarm.kind, alarm.severity) == ("drift", "info")
    assert alarm.evidence["moved"][0]["name"] == NAMES[0]
    assert int(alarm.last_event.rpartition("-")[2]) - at < within


@pytest.mark.slow
def test_a_slow_ramp_after_a_release_is_drift_and_never_harm() -> None:
    """A new client release spreads: what comes in changes little by little, and the answers stay right."""
    world = make(6)
    healthy(world)
    for step in range(30):
        world.label(world.serve(100, shift=step / 20), 0.95)
    assert [alarm.kind for alarm in world.alarms()] == ["drift"]


def test_retries_of_a_client_are_one_event() -> None:
    """Each message is sent three times in a row: a third of the events is judged."""
    world = make(7)
    texts = [int(print) for print in world.rng.integers(0, 2**63, 600)]
    world.serve(1_800, fingerprints=[text for text in texts for _ in range(3)])
    (watch,) = world.state.watches.values()
    assert watch.reference is not None
    assert len(watch.reference.rows) + watch.drift.bets.steps == 600


def test_late_labels_of_the_reference_make_the_baseline() -> None:
    world = make()
    ids = world.serve(400)
    world.label(ids[300:], 1.0)
    assert standings(world.state)[VERSION].tested_labels == 0
    world.label(ids[:100], 0.95)
    world.serve(4)
    known = known_baseline(world.settings, world.state, VERSION)
    assert known.labelled == 100
    assert known.limit is not None
    assert known.limit > 0.05
    assert standings(world.state)[VERSION].tested_labels == 100


def test_without_a_labelled_reference_later_labels_become_the_baseline_once_its_time_is_over() -> None:
    world = make(late_labels_s=60)
    world.serve(300)
    world.label(world.serve(100)[:50], 0.9)
    assert standings(world.state)[VERSION].reference_labels == 0
    world.label(world.serve(200)[:50], 0.9)
    stands = standings(world.state)[VERSION]
    assert (stands.reference_labels, stands.tested_labels) == (30, 70)


def test_labels_that_come_before_their_event_wait_for_it() -> None:
    world = make()
    ahead = [f"{VERSION}-{i}" for i in range(50)]
    world.label(ahead, 1.0)
    world.serve(100)
    assert standings(world.state)[VERSION].reference_labels == 50
    world.label([f"{VERSION}-{i}" for i in range(310, 330)], 1.0)
    world.serve(250)
    stands = standings(world.state)[VERSION]
    assert (stands.reference_labels, stands.tested_labels) == (50, 20)


def test_one_loss_per_event() -> None:
    world = make()
    ids = healthy(world)
    later = world.serve(10)
    for _ in range(20):
        world.label([*ids[:10:2], *later], [False] * 15)
    stands = standings(world.state)[VERSION]
    assert (stands.reference_labels, stands.tested_labels) == (150, 10)
    assert known_baseline(world.settings, world.state, VERSION).loss < 30


def test_a_record_seen_twice_changes_nothing() -> None:
    world = make()
    healthy(world, 400)
    for batch in world.batches[:3] + world.batches[-2:]:
        again, found = update(world.settings, world.state, batch)
        assert found == []
        assert again.watches == world.state.watches
        assert again.windows == world.state.windows


def test_overlapping_batches_count_each_offset_once() -> None:
    world = make()
    world.serve(60)
    first = world.batches[0]
    part, _ = update(world.settings, start("support"), _cut(first, 0, 40))
    overlapped, _ = update(world.settings, part, _cut(first, 20, 60))
    assert overlapped.watches == world.state.watches


def test_missing_confidence_and_empty_batches_fire_nothing() -> None:
    world = make(7)
    healthy(world)
    values = world.rng.standard_normal((600, len(NAMES)))
    values[:, -2:] = MISSING
    world.serve(600, values=values)
    for _ in range(3):
        world.serve(0)
        world.label([], [])
    assert world.alarms() == []


@pytest.mark.slow
def test_lower_confidence_is_estimated_harm_until_labels_disagree() -> None:
    def confident(world: World, level: float, events: int) -> list[str]:
        values = world.rng.standard_normal((events, len(NAMES)))
        values[:, -2:] = level - 0.1 * np.abs(values[:, -2:])
        return world.serve(events, values=values)

    def calibrated(seed: int) -> World:
        world = make(seed)
        for _ in range(30):
            world.label(confident(world, -0.1, 9), 0.98)
            world.label(confident(world, -3.0, 1), 0.1)
        return world

    world = calibrated(1)
    confident(world, -3.0, 150)
    assert [each.severity for each in world.alarms("estimated_quality")] == ["warning"]
    trusting = calibrated(2)
    trusting.label(confident(trusting, -0.1, 60), 0.3)
    assert not standings(trusting.state)[VERSION].estimates_trusted
    confident(trusting, -3.0, 150)
    assert trusting.alarms("estimated_quality") == []


def test_failing_requests_and_slow_ones_burn_their_budgets() -> None:
    failing, slow = make(), make()
    failing.serve(100)
    failing.serve(60, status=503)
    slow.serve(100)
    slow.serve(200, latency_ms=60_000.0)
    assert [each.kind for each in failing.alarms()] == ["errors"]
    assert [each.kind for each in slow.alarms()] == ["latency"]


def test_a_clients_mistakes_and_hang_ups_are_not_errors() -> None:
    world = make()
    world.serve(100)
    world.serve(100, status=404)
    world.serve(100, status=499)
    assert world.alarms() == []


def test_windows_count_requests_and_labels_and_carry_the_evidence() -> None:
    world = make()
    healthy(world, 900)
    done = [each for each in world.findings if isinstance(each, Window)]
    assert [each.start_ms for each in done] == sorted({each.start_ms for each in done})
    assert {each.requests for each in done[1:]} == {120}
    still_open = sum(count.labelled for count in world.state.windows.counts[VERSION].values())
    assert sum(each.labelled for each in done) + still_open == 450
    assert all(0.0 <= each.loss <= each.labelled for each in done)
    assert done[-1].latency_p50_ms == pytest.approx(100.0, rel=0.01)
    assert set(done[-1].evidence) == set(SEVERITIES)
    assert done[-1].estimated_accuracy == pytest.approx(0.95, abs=0.06)


def test_a_partition_behind_holds_windows_open_until_it_falls_silent() -> None:
    world = make(idle_s=100)
    slow = msgspec.structs.replace(_cut(_served(world), 0, 1), partition=1)
    world.take(slow)
    for _ in range(4):
        world.serve(40)
    assert not [each for each in world.findings if isinstance(each, Window)]
    for _ in range(10):
        world.serve(40)
    assert [each for each in world.findings if isinstance(each, Window)]


def test_a_new_version_starts_its_own_reference_and_old_ones_are_forgotten() -> None:
    world = make()
    healthy(world)
    for name in ("b", "c", "d"):
        world.serve(100, version=name)
    stands = standings(world.state)
    assert list(stands) == ["b", "c", "d"]
    assert [each.champion for each in stands.values()] == [False, False, True]
    assert not stands["d"].watching


def test_a_version_that_serves_again_may_alarm_again() -> None:
    world = make(8)
    healthy(world)
    harmed(world, 0.3, 100)
    world.serve(20, version="b")
    world.label(world.serve(100), 0.3)
    assert len(world.alarms("quality")) == 2


def test_a_burst_counts_once() -> None:
    world = make()
    texts = np.random.default_rng(0).integers(0, 2**63, 100).tolist()
    world.serve(300, fingerprints=[texts[i // 3] for i in range(300)])
    assert standings(world.state)[VERSION].reference_events == 100


@pytest.mark.slow
def test_dependent_events_are_judged_in_blocks() -> None:
    """18,000 events with autocorrelation 0.5: taken for independent ones, every world would raise an alarm."""
    raised = 0
    for seed in range(6):
        world = make(seed, reference_events=1_000)
        series = _dependent(world, 4_000, 0.5)
        for low in range(0, 4_000, 500):
            world.serve(500, values=series[low : low + 500])
        assert standings(world.state)[VERSION].block > 1
        raised += len(world.alarms())
    assert raised <= 2


def _dependent(world: World, events: int, rho: float) -> NDArray[np.float64]:
    noise = world.rng.standard_normal((events, len(NAMES)))
    series = noise.copy()
    for k in range(1, events):
        series[k] = rho * series[k - 1] + np.sqrt(1 - rho**2) * noise[k]
    series[:, -2:] = -np.abs(series[:, -2:])
    return series


def _served(world: World) -> Batch:
    world.serve(1)
    return world.batches[-1]


def _cut(batch: Batch, low: int, high: int) -> Batch:
    rows = batch.rows.take(range(low, high))
    return msgspec.structs.replace(
        batch, rows=rows, first_offset=rows.offsets[0] if rows.offsets else low, last_offset=rows.offsets[-1]
    )


def _story() -> list[Batch]:
    world = make(6, reference_events=100, min_reference_labels=20)
    ids = world.serve(100)
    world.label(ids[::2], 0.95)
    ids = world.serve(120, shift=1.5)
    world.label(ids[::2], 0.3)
    world.serve(40, status=500)
    return world.batches


STORY = _story()


def _alarms(config: MonitorSettings, batches: Sequence[Batch]) -> list[bytes]:
    state, found = start("support"), []
    for batch in batches:
        state, findings = update(config, state, batch)
        found += [msgspec.json.encode(each) for each in findings if not isinstance(each, Window)]
    return found


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(1, 119), max_size=3), min_size=len(STORY), max_size=len(STORY)))
@settings(max_examples=10)
def test_how_rows_are_cut_into_batches_changes_no_alarm(cuts: list[list[int]]) -> None:
    config = MonitorSettings(reference_events=100, min_reference_labels=20)
    pieces: list[Batch] = []
    for batch, places in zip(STORY, cuts, strict=True):
        edges = sorted({0, len(batch.rows), *(place for place in places if place < len(batch.rows))})
        parts = [_cut(batch, low, high) for low, high in pairwise(edges)]
        pieces += [msgspec.structs.replace(part, ends_turn=part is parts[-1]) for part in parts]
    whole = _alarms(config, STORY)
    assert _alarms(config, pieces) == whole
    assert len([each for each in whole if b'"type":"alarm"' in each]) >= 3


def test_the_state_survives_json_and_goes_on_bit_for_bit() -> None:
    world = make(6)
    healthy(world, 500)
    stored = msgspec.json.encode(world.state)
    again = msgspec.json.decode(stored, type=AliasState)
    assert again == world.state
    assert msgspec.json.encode(again) == stored
    world.serve(100, shift=1.0)
    resumed, _ = update(world.settings, again, world.batches[-1])
    assert msgspec.json.encode(resumed) == msgspec.json.encode(world.state)


@pytest.mark.slow
def test_everything_remembered_is_bounded() -> None:
    world = make(1, reference_events=100)
    healthy(world, 200)
    sizes = []
    for _ in range(4):
        for _ in range(3):
            world.label(world.serve(1_000), 0.95)
        sizes.append(len(msgspec.json.encode(world.state)))
    assert sizes[-1] < 1.1 * sizes[1]


def test_rows_of_another_form_start_a_new_reference() -> None:
    world = make()
    healthy(world)
    rows = ScoreRows(
        offsets=[world.sent],
        ids=["x"],
        times_ms=[world.now_ms],
        versions=[VERSION],
        arms=["champion"],
        clients=["client"],
        statuses=[200],
        ttft_ms=[1.0],
        tpot_ms=[0.0],
        latency_ms=[1.0],
        descriptors=[[1.0]],
    )
    world.take(msgspec.structs.replace(world.batches[-2], rows=rows, last_offset=world.sent, descriptor_names=["new"]))
    assert standings(world.state)[VERSION].reference_events == 1
