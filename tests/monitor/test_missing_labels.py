"""How many labels are missing is a number that people see, not a line in a log."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as changed

from monitor.describe.fingerprint import event_print
from monitor.judge import fresh_labels
from monitor.missing_labels import labels_wanted
from monitor.policy import HarmCase, PolicyState
from monitor.settings import MonitorSettings
from tests.monitor.support.world import VERSION, World

SETTINGS = MonitorSettings(reference_events=200, min_reference_labels=30)
NO_CASE = PolicyState()


def test_nothing_is_wanted_while_a_reference_is_gathered() -> None:
    world = World(SETTINGS)
    world.serve(100)
    assert labels_wanted(SETTINGS, world.state, NO_CASE) == 0


def test_a_baseline_that_lacks_labels_wants_them_until_they_come() -> None:
    world = World(SETTINGS)
    ids = world.serve(250)
    assert labels_wanted(SETTINGS, world.state, NO_CASE) == 30
    world.label(ids[:20], 1.0)
    assert labels_wanted(SETTINGS, world.state, NO_CASE) == 10
    world.label(ids[20:40], 1.0)
    assert labels_wanted(SETTINGS, world.state, NO_CASE) == 0


def test_drift_wants_labels_of_the_replies_it_names_until_they_have_them() -> None:
    world = World(SETTINGS)
    world.label(world.serve(250)[:200], 0.9)
    world.serve(400, shift=2.0)
    asked = world.state.watches[VERSION].asked
    assert labels_wanted(SETTINGS, world.state, NO_CASE) == len(asked) > 0
    names = {f"{VERSION}-{i}" for i in range(world.sent)}
    world.label([name for name in sorted(names) if event_print(name) in asked], 0.9)
    assert labels_wanted(SETTINGS, world.state, NO_CASE) == 0


def test_a_case_wants_what_its_retraining_lacks_and_nothing_while_it_runs() -> None:
    world = World(SETTINGS)
    world.label(world.serve(250)[:200], 0.95)
    world.label(world.serve(100), 0.1)
    case = HarmCase(alarm_id="a", version=VERSION, onset_ms=0, labels_wanted=500)
    lacking = 500 - fresh_labels(world.state, VERSION)
    assert 300 < lacking < 500
    assert labels_wanted(SETTINGS, world.state, PolicyState(case=case)) == lacking
    assert labels_wanted(SETTINGS, world.state, PolicyState(case=changed(case, request_id="r"))) == 0


def test_what_is_wanted_follows_the_settings() -> None:
    world = World(SETTINGS)
    world.serve(250)
    assert labels_wanted(replace(SETTINGS, min_reference_labels=50), world.state, NO_CASE) == 50
