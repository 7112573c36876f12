from __future__ import annotations

from deploy.operator import status as watched
from monitor.settings import MonitorSettings
from streams.events import RouteWritten
from streams.judge.memory import JudgeRecord, pack
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
