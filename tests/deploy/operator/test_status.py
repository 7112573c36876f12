from __future__ import annotations

import pytest

from deploy.operator import status as watched
from monitor.missing_labels import labels_wanted
from monitor.policy import PolicyState
from monitor.settings import MonitorSettings
from streams.events import ReplicaAttested, RouteWritten
from streams.judge.memory import JudgeRecord, pack
from streams.kinds import ProofOutcome
from streams.proof import ProofShown
from tests.monitor.support.world import VERSION, World, make


def stands(world: World) -> list[str]:
    bare, _ = pack(JudgeRecord(alias="support", judge=world.state))
    return [*watched.lines(world.settings, {"support": bare})]


def test_a_version_whose_reference_grows_says_how_far_it_is() -> None:
    world = make()
    world.serve(120)
    assert stands(world) == [f"support: {VERSION} is not watched yet: its reference has 120 of 300 events"]


def test_what_is_open_and_what_is_not_tested_is_said_with_its_reason() -> None:
    world = make(1)
    world.label(world.serve(300), 0.0)
    world.serve(100, shift=2.0)
    first, alarm, why = stands(world)
    assert first == f"support: {VERSION} is watched"
    assert alarm.startswith("support: open: drift since 1970-01-01 00:19:")
    assert "homeostat alarms show " in alarm
    assert why.startswith(
        "support: not tested: quality, estimated_quality: 300 of the reference's 300 labels say wrong"
    )


def test_what_is_tested_needs_no_words() -> None:
    world = make(1)
    world.label(world.serve(300), 0.95)
    assert stands(world) == [f"support: {VERSION} is watched"]
    assert [*watched.lines(MonitorSettings(), {})] == []


def attested(replica: str, served: tuple[str, ...], **proofs: ProofShown) -> ReplicaAttested:
    return ReplicaAttested(
        replica=replica,
        url="u",
        time_ms=1,
        healthy=True,
        base_model="b",
        versions=dict.fromkeys(served, "d"),
        generations={},
        proofs=proofs,
    )


def test_what_an_engine_does_not_prove_is_named_with_its_reason() -> None:
    given = ProofShown(outcome=ProofOutcome.GIVEN, since_ms=1)
    failed = ProofShown(outcome=ProofOutcome.FAILED, since_ms=1, reason="0.4 nats off")
    none = ProofShown(outcome=ProofOutcome.NONE, since_ms=1, reason="no gap")
    shown = [attested("r1", ("a",), a=given, b=failed, c=none), attested("r2", ("a", "b"), a=given, b=failed, c=none)]
    assert [*watched.without_proof(shown)] == [
        "r1: b is not served: 0.4 nats off",
        "r2: b is served all the same: 0.4 nats off",
        "c has no proof of effect, fingerprints decide: no gap",
    ]
    assert [*watched.without_proof([attested("r1", ("a",), a=given)])] == []


def test_an_alias_without_fair_labels_says_so_in_status_doctor_and_a_ticket() -> None:
    world = make(1)
    ids = world.serve(320)
    world.label(ids, 0.9, origin="volunteered/app")
    said = "all labels so far are volunteered"
    assert any(said in line for line in stands(world))
    (finding,) = watched.unproven(world.settings, {"support": JudgeRecord(alias="support", judge=world.state)})
    assert (finding.name, finding.ok, finding.needed) == ("labels", False, False)
    assert said in finding.detail
    assert "homeostat labels wanted --audit" in finding.remedy
    assert labels_wanted(world.settings, world.state, PolicyState()) == 30, "homeostat_labels_wanted, which alerts"
    fair = make(1)
    fair.label(fair.serve(320), 0.9, origin="random/app")
    assert [*watched.unproven(fair.settings, {"support": JudgeRecord(alias="support", judge=fair.state)})] == []
    assert labels_wanted(fair.settings, fair.state, PolicyState()) == 0


@pytest.mark.parametrize(("source", "gone"), [("complete/crm", 0.5), ("audit", 0.4)])
def test_a_source_whose_labels_come_no_longer_says_so_though_another_is_tested(source: str, gone: float) -> None:
    world = make(5)
    world.label(world.serve(320), 0.95, origin="random/app")
    for missing in (0.0, gone):
        for _ in range(40):
            ids = world.serve(50, cohorts=[[source] if k % 2 else [] for k in range(50)])
            world.serve(50)
            some = [id for id in ids[1::2] if world.rng.random() >= missing]
            world.label(some, 0.95, origin=source)
        lines = [line for line in stands(world) if "not tested" in line]
        wanted = labels_wanted(world.settings, world.state, PolicyState())
        assert (len(lines), wanted > 0) == ((1, True) if missing else (0, False))
    assert f"quality ({source}): " in lines[0]


def test_a_route_is_a_line_with_its_canary_and_its_share() -> None:
    adapters = {"support-a": "a" * 64, "support-b": "b" * 64}
    route = RouteWritten(
        alias="support",
        generation=3,
        champion="support-a",
        canary="support-b",
        weight=0.05,
        adapters=adapters,
        paused=True,
        time_ms=0,
        by="test",
    )
    drawn = watched.table({"support": route})
    cells = {str(column.header): list(column.cells) for column in drawn.columns}
    assert (cells["champion"], cells["canary"], cells["paused"]) == (["support-a"], ["support-b (5%)"], ["yes"])
    assert (cells["previous"], cells["shadow"], cells["generation"]) == ([""], [""], ["3"])


def test_how_a_judge_model_agrees_with_people_is_a_line() -> None:
    world = make(1)
    for _ in range(3):
        world.serve(100)
    judge = "judge/tone by gpt"
    ids = world.serve(20, cohorts=[["audit", judge]] * 20)
    world.label(ids, [0.1] * 20, origin=judge)
    world.label(ids, [True] * 17 + [False] * 3, origin="audit")
    assert "support: judge agrees with people on 17 of 20 audited replies (tone by gpt)" in stands(world)
