from __future__ import annotations

from deploy.operator import status as watched
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
    assert [*watched.unproven(shown)] == [
        "r1: b is not served: 0.4 nats off",
        "r2: b is served all the same: 0.4 nats off",
        "c has no proof of effect, fingerprints decide: no gap",
    ]
    assert [*watched.unproven([attested("r1", ("a",), a=given)])] == []


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
