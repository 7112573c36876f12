"""Labels by who chose them, through the judge."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from monitor.findings import AlarmEnd
from monitor.judge import AliasState, fresh_labels
from monitor.selection.audit import chosen
from monitor.settings import ComplaintSettings, MonitorSettings
from monitor.watch import untested
from monitor.watch.record import restored
from tests.monitor.support.world import VERSION, World

SHARE = 0.2
SETTINGS = MonitorSettings(reference_events=300, complaints=ComplaintSettings(wait_s=60.0))


def world(seed: int = 0) -> World:
    return World(SETTINGS, seed)


def go_on(
    at: World,
    rounds: int,
    accuracy: float,
    *,
    source: str = "audit",
    labels: Callable[[np.random.Generator, bool], bool] = lambda _, right: True,
    count: int = 50,
) -> None:
    """Serve replies in rounds, and label those of the source's cohort a minute later, in the next round."""
    rng, before = np.random.default_rng((at.seed, at.sent)), list[tuple[str, bool]]()
    for _ in range(rounds):
        first = at.sent
        ids = [f"{VERSION}-{first + k}" for k in range(count)]
        mine = [source if source != "audit" or chosen(id, SHARE) else "" for id in ids]
        at.serve(count, cohorts=[[each] if each else [] for each in mine])
        right = [(id, bool(rng.random() < accuracy)) for id, each in zip(ids, mine, strict=True) if each]
        given = [(id, good) for id, good in right if labels(rng, good)]
        if before:
            at.label([id for id, _ in before], [good for _, good in before], origin=source)
        before = given


def why(at: World) -> list[str]:
    return untested.lines(untested.reasons(at.settings, restored(at.state.watches[VERSION])))


def test_corrections_of_wrong_answers_alone_prove_nothing_and_the_alias_says_so() -> None:
    at = world()
    for _ in range(30):
        ids = at.serve(100)
        at.label([id for k, id in enumerate(ids) if k % 10 == 0], 0.0, origin="volunteered/app")
    assert at.alarms("quality") == []
    assert any("no harm can be proven. Set gateway.audit_share, or declare a source" in line for line in why(at))
    assert at.state.watches[VERSION].volunteered == 300


def test_an_audit_proves_harm_and_the_alarm_says_what_it_rests_on() -> None:
    at = world(1)
    go_on(at, 40, 0.95)
    assert at.alarms("quality") == []
    assert why(at) == []
    go_on(at, 30, 0.3)
    (alarm,) = at.alarms("quality")
    assert alarm.evidence["rests_on"] == "audit"
    assert "It rests on labels of replies that were chosen before their answer was known" in alarm.summary
    assert fresh_labels(at.state, VERSION) > 20
    go_on(at, 160, 0.95)
    assert [each.cause for each in at.findings if isinstance(each, AlarmEnd)] == ["quiet"]


def test_before_enough_audited_replies_have_a_label_it_says_how_many_are_needed() -> None:
    at = world(2)
    go_on(at, 12, 0.95)
    assert any(
        re.search(r"of 1\d\d labels that say what is usual have come from the source audit", line) for line in why(at)
    )


def test_volunteered_labels_change_nothing_in_an_audit() -> None:
    alone, both = world(3), world(3)
    go_on(alone, 60, 0.9)
    for _ in range(60):
        go_on(both, 1, 0.9)
    flooded = world(3)
    go_on(flooded, 60, 0.9)
    flooded.label([f"{VERSION}-{k}" for k in range(2_000, 3_000)], 0.0, origin="volunteered/app")
    kept, other = (each.state.watches[VERSION].ordered["audit"] for each in (alone, flooded))
    assert (kept.test, kept.limit) == (other.test, other.limit)
    assert flooded.alarms("quality") == []


def test_a_source_that_labels_too_little_is_no_complete_one() -> None:
    at = world(4)
    go_on(at, 20, 0.95, source="complete/crm", labels=lambda rng, _: bool(rng.random() < 0.6))
    assert any("crm is declared complete, and labels" in line for line in why(at))
    good = world(5)
    go_on(good, 20, 0.95, source="complete/crm")
    assert why(good) == []
    go_on(good, 20, 0.95, source="complete/crm", labels=lambda rng, _: bool(rng.random() < 0.5))
    assert good.state.watches[VERSION].ordered["complete/crm"].withdrawn
    assert any("crm is declared complete, and labels" in line for line in why(good))
    assert good.alarms("quality") == []


def test_a_complete_source_proves_harm() -> None:
    at = world(6)
    go_on(at, 20, 0.95, source="complete/crm")
    go_on(at, 20, 0.4, source="complete/crm")
    (alarm,) = at.alarms("quality")
    assert alarm.evidence["rests_on"] == "complete/crm"


def test_sources_with_other_rates_may_change_their_mix() -> None:
    """Pooled, the share of wrong labels would rise from 6 % to 38 %."""
    at = World(MonitorSettings(reference_events=1_000), 7)
    ids = at.serve(1_000)
    at.label(ids[:450], 0.98, origin="random/app")
    at.label(ids[450:500], 0.6, origin="random/hard")
    for _ in range(20):
        ids = at.serve(100)
        at.label(ids[:5], 0.98, origin="random/app")
        at.label(ids[5:55], 0.6, origin="random/hard")
    assert at.alarms("quality") == []
    for _ in range(10):
        ids = at.serve(100)
        at.label(ids[:20], 0.6, origin="random/app")
    (alarm,) = at.alarms("quality")
    assert alarm.evidence["rests_on"] == "random/app"
    assert alarm.evidence["baseline"]["labelled"] == 450


@pytest.mark.parametrize("first", ["audit", "complete/crm"])
def test_two_sources_that_label_the_same_replies_both_have_their_labels(first: str) -> None:
    """Whoever comes second has missed nothing: the key labels all replies, the auditors a fifth of them."""
    at = world(12)
    for _ in range(80):
        mine = [chosen(f"{VERSION}-{at.sent + i}", SHARE) for i in range(50)]
        ids = at.serve(50, cohorts=[["complete/crm", *["audit"] * each] for each in mine])
        right = (at.rng.random(50) < 0.9).tolist()
        audits = [i for i, each in enumerate(mine) if each]
        of = {"complete/crm": range(50), "audit": audits}
        for source in sorted(of, key=lambda each: each != first):
            at.label([ids[i] for i in of[source]], [right[i] for i in of[source]], origin=source)
    assert why(at) == []
    known = at.state.watches[VERSION].ordered
    assert {source: each.limit is not None for source, each in known.items()} == dict.fromkeys(known, True)
    assert min(each.cohort.covered for each in known.values()) > 0.99
    assert at.alarms("quality") == []


def test_complaints_ask_for_labels_and_prove_no_harm() -> None:
    at = world(8)
    at.serve(300)
    for k in range(130):
        ids = at.serve(50)
        share = 0.04 if k < 110 else 0.25
        at.label([id for id in ids if at.rng.random() < share], 0.0, origin="volunteered/client")
    assert {each.kind for each in at.alarms()} == {"complaints"}
    (alarm,) = at.alarms("complaints")
    assert (alarm.severity, alarm.evidence["rests_on"]) == ("warning", "volunteered")
    assert "Complaints are volunteered and prove no harm" in alarm.summary


@pytest.mark.parametrize("origin", ["random/app", "audit", "complete/crm", "wanted/reviewer"])
def test_corrections_by_a_fair_source_are_no_complaints(origin: str) -> None:
    """Those of answers that are judged later, by a worker, come without a loss: an auditor corrects what was chosen."""
    at = world(8)
    at.serve(300)
    for k in range(130):
        ids = at.serve(50)
        at.label(ids[:2], 0.0, origin="volunteered/client")
        at.correct(ids[2 : 2 if k < 110 else 22], origin)
    assert at.alarms() == []
    assert at.state.watches[VERSION].volunteered == 260


def test_the_memory_goes_through_json_bit_for_bit() -> None:
    at = world(9)
    go_on(at, 30, 0.9)
    go_on(at, 5, 0.9, source="complete/crm")
    ids = at.serve(100)
    at.label(ids[:40], 0.9, origin="random/app")
    at.label(ids[40:], 0.9, origin="random/other")
    stored = msgspec.json.encode(at.state)
    assert msgspec.json.decode(stored, type=AliasState) == at.state
    assert set(at.state.watches[VERSION].ordered) == {"audit", "complete/crm"}


@pytest.mark.slow
@pytest.mark.parametrize("gone", [lambda rng, right: True, lambda rng, right: not right or bool(rng.random() < 0.8)])
def test_healthy_audits_raise_no_alarm_whatever_is_missing(gone: Callable[[np.random.Generator, bool], bool]) -> None:
    for seed in range(8):
        at = world(100 + seed)
        go_on(at, 100, 0.9, labels=gone)
        assert at.alarms("quality") == []


def test_labels_that_come_long_after_their_replies_are_waited_for() -> None:
    """A reviewer labels 3,000 replies later, when the last 2,000 alone are remembered one by one."""
    at, late = world(10), list[tuple[int, list[str]]]()
    for k in range(420):
        ids = [f"{VERSION}-{at.sent + i}" for i in range(50)]
        at.serve(50, cohorts=[["audit"] if chosen(id, SHARE) else [] for id in ids])
        late.append((k, [id for id in ids if chosen(id, SHARE)]))
        if k >= 60:
            at.label(late.pop(0)[1], 0.9 if k < 390 else 0.2, origin="audit")
    known = at.state.watches[VERSION].ordered["audit"]
    assert 1_400_000 < known.age_ms < 2_000_000
    assert len(at.alarms("quality")) == 1
