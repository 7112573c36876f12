"""A judge model's scores through the judge that ships: an estimate for the audit, a signal of their own, no label."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.findings import Alarm, AlarmEnd, Window
from monitor.judge import AliasState, fresh_labels
from monitor.selection.audit import chosen
from monitor.settings import MonitorSettings
from monitor.signals.labelled.judged_quality import agreement
from monitor.watch.record import restored
from monitor.watch.version import VersionState
from tests.monitor.support.world import VERSION, World

pytestmark = pytest.mark.slow

JUDGE, AUDITED, SCORED = "judge/tone by gpt", 0.1, 0.5
SETTINGS = MonitorSettings(reference_events=300)


def world(seed: int = 0) -> World:
    return World(SETTINGS, seed)


def version(at: World) -> VersionState:
    return restored(at.state.watches[VERSION])


def go_on(
    at: World, rounds: int, accuracy: float, *, sees: float = 0.9, away: float = 0.0, labels: bool = True
) -> None:
    """Serve replies in rounds. The judge scores its share in the next one: it is right about each with the probability
    `sees`; auditors label theirs in the one after that."""
    rng, scored, labelled = (
        np.random.default_rng((at.seed, at.sent)),
        list[tuple[str, bool]](),
        list[tuple[str, bool]](),
    )
    for _ in range(rounds):
        ids = [f"{VERSION}-{at.sent + k}" for k in range(50)]
        at.serve(50, cohorts=[["audit"] * chosen(id, AUDITED) + [JUDGE] * chosen(id, SCORED) for id in ids])
        right = [(id, bool(rng.random() < accuracy)) for id in ids]
        if labels and labelled:
            at.label(*map(list, zip(*labelled, strict=True)), origin="audit")
        labelled = [(id, good) for id, good in scored if chosen(id, AUDITED)]
        said = [(id, 0.1 if good == (rng.random() < sees) else 0.8) for id, good in scored if chosen(id, SCORED)]
        if said := [each for each in said if rng.random() >= away]:
            at.label([id for id, _ in said], [loss for _, loss in said], origin=JUDGE, metric="rubric tone")
        scored = right


def test_a_judge_alone_raises_an_alarm_that_asks_for_labels_and_says_how_it_agrees_with_people() -> None:
    at = world()
    go_on(at, 60, 0.95)
    assert at.alarms() == []
    go_on(at, 30, 0.4, labels=False)
    (alarm,) = at.alarms()
    assert (alarm.kind, alarm.severity) == ("judged_quality", "warning")
    assert alarm.evidence["rests_on"] == JUDGE
    assert alarm.evidence["label_first"]
    agreed = alarm.evidence["agreement"]
    assert 0.8 <= agreed["agreed"] / agreed["compared"] <= 1.0
    assert f"judge agrees with people on {agreed['agreed']} of {agreed['compared']} audited replies" in alarm.summary
    assert alarm.summary.startswith(f"the judge model (tone by gpt) gives answers of {VERSION} 0.")
    assert fresh_labels(at.state, VERSION) == 0


def test_scores_are_no_labels() -> None:
    at = world()
    go_on(at, 60, 0.95, labels=False)
    past, quality = version(at).past, version(at).quality
    assert (past.volunteered, past.metric, quality.ordered["audit"].labels) == (0, None, 0)
    assert not any(window.labelled for window in at.findings if isinstance(window, Window))


def test_a_judge_that_is_away_raises_nothing_and_hides_no_harm_that_labels_prove() -> None:
    at = world()
    go_on(at, 100, 0.95)
    go_on(at, 100, 0.4, away=1.0)
    assert [alarm.kind for alarm in at.alarms()] == ["quality"]


def test_a_judge_that_says_only_what_is_bad_raises_nothing_by_that() -> None:
    """It is silent about all answers that it likes: what is missing counts against the claim."""
    at = world()
    go_on(at, 60, 0.95, sees=1.0)
    rng = np.random.default_rng(1)
    for _ in range(60):
        ids = [f"{VERSION}-{at.sent + k}" for k in range(50)]
        at.serve(50, cohorts=[[JUDGE] * chosen(id, SCORED) for id in ids])
        bad = [id for id in ids if chosen(id, SCORED) and rng.random() < 0.05]
        if bad:
            at.label(bad, [0.8] * len(bad), origin=JUDGE)
    assert at.alarms() == []


@pytest.mark.parametrize(("sees", "used"), [(0.95, True), (0.5, False)])
def test_the_audit_learns_what_the_judge_is_worth(sees: float, used: bool) -> None:
    """How many labels that saves: `tests/monitor/selection/test_neighbours.py`."""
    at = world()
    go_on(at, 70, 0.8, sees=sees)
    audit = version(at).quality.ordered["audit"]
    assert audit.limit is not None
    assert audit.judge == JUDGE
    assert (audit.control[0] > 0.2) is used


def test_another_judge_starts_over_and_ends_the_alarm_of_the_one_before() -> None:
    at = world()
    go_on(at, 60, 0.95)
    go_on(at, 30, 0.4, labels=False)
    at.serve(50, cohorts=[["judge/tone by another"]] * 50)
    (over,) = (each for each in at.findings if isinstance(each, AlarmEnd))
    assert (over.kind, over.cause) == ("judged_quality", "untested")
    assert version(at).judged_quality.judge == "judge/tone by another"
    assert agreement(version(at).judged_quality) == ""


def test_cut_anywhere_and_through_json_it_finds_the_same() -> None:
    whole = world()
    go_on(whole, 100, 0.95)
    go_on(whole, 60, 0.4)
    again = world()
    for batch in whole.batches:
        again.take(batch)
        stored = msgspec.json.encode(again.state)
        again.state = msgspec.json.decode(stored, type=AliasState)
        assert msgspec.json.encode(again.state) == stored
    assert [each.key for each in again.findings if isinstance(each, Alarm)] == [each.key for each in whole.alarms()]
    assert {alarm.kind for alarm in whole.alarms()} == {"quality", "judged_quality"}
