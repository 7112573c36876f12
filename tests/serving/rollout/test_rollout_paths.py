"""Whatever happens, in whatever order: two controllers, a human, restarts, races, late records and lost ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.rollout.state import RolloutState
from streams.events import Event, RouteWritten
from streams.topics import Topic
from tests.serving.support.rollout_world import HUMAN, NEW, OLD, SETTINGS, RolloutWorld

pytestmark = pytest.mark.slow

MEMBERS = st.sampled_from([0, 1])
KINDS = st.sampled_from(["good", "good", "failing", "right", "wrong"])
LONGEST_S = SETTINGS.loading_timeout_s + SETTINGS.canary_timeout_s + 1


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.rollout.alias.PATIENCE_S", 0.0)
    monkeypatch.setattr("serving.rollout.alias.SEEN_WITHIN_S", 0.0)


class Paths(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = RolloutWorld()
        self.human_route: RouteWritten | None = None  # the last human route that ended every rollout

    @rule(i=MEMBERS)
    def a_controller_looks(self, i: int) -> None:
        self.world.members[i].look()

    @rule(i=MEMBERS)
    def one_that_has_not_read_on_ticks(self, i: int) -> None:
        self.world.members[i].tick()

    @rule(i=MEMBERS)
    def one_reads_one_more_record(self, i: int) -> None:
        member = self.world.members[i]
        member.read = min(member.read + 1, len(self.world.routes))

    @rule(i=MEMBERS, flaky=st.sampled_from(["refused", "taken but not confirmed"]))
    def the_log_stutters(self, i: int, flaky: str) -> None:
        self.world.members[i].flaky = flaky

    @rule(i=MEMBERS)
    def one_is_killed_and_started_again(self, i: int) -> None:
        self.world.members[i].start()

    @rule(kind=KINDS, count=st.integers(1, 8), age_s=st.sampled_from([0.0, 0.0, 30.0, 200.0]))
    def replies_come(self, kind: str, count: int, age_s: float) -> None:
        self.world.replies(kind, count, age_s=age_s)

    @rule(
        name=st.sampled_from(["r1", "r2", "r3"]),
        new=st.booleans(),
        healthy=st.booleans(),
        digest=st.sampled_from(["b" * 64, "b" * 64, "d" * 64]),
    )
    def a_replica_says_something(self, name: str, new: bool, healthy: bool, digest: str) -> None:
        self.world.attest(name, new=new, healthy=healthy, digest=digest)

    @rule(rounds=st.integers(1, 5), kind=st.sampled_from(["good", "good", "failing"]), both=st.booleans())
    def a_quiet_time_passes(self, rounds: int, kind: str, both: bool) -> None:
        """So that the later states are met as often as the first ones."""
        for _ in range(rounds):
            self.world.pass_s(0.5)
            self.all_replicas_are_well()
            self.world.replies(kind, 3)
            for member in self.world.members if both else self.world.members[:1]:
                member.look()

    @rule()
    def all_replicas_are_well(self) -> None:
        for name in ("r1", "r2", "r3"):
            self.world.attest(name)

    @rule(name=st.sampled_from(["r1", "r2", "r3"]))
    def a_replica_goes_for_good(self, name: str) -> None:
        self.world.attestations.pop(name, None)

    @rule(seconds=st.sampled_from([0.5, 5.0, 16.0, 61.0]), fresh=st.booleans())
    def time_passes(self, seconds: float, fresh: bool) -> None:
        self.world.pass_s(seconds)
        if fresh:
            self.world.refresh()

    @rule(what=st.sampled_from(sorted(HUMAN)))
    def a_human_speaks(self, what: str) -> None:
        before, begun = self.world.route, any(each.request for each in self.world.routes)
        self.world.human(what)
        sent = self.world.route is not before and what in ("promote another", "promote the candidate", "roll back")
        if sent and (begun or self.human_route is not None):
            self.human_route = self.world.route

    @invariant()
    def a_humans_route_stands_until_a_human_changes_it(self) -> None:
        if self.human_route is not None:
            route = self.world.route
            assert (route.champion, route.canary, route.previous) == (
                self.human_route.champion,
                None,
                self.human_route.previous,
            )

    @invariant()
    def no_one_was_made_canary_that_was_not_proven(self) -> None:
        assert self.world.route.canary in (None, NEW)

    @precondition(lambda self: self.world.over and self.world.decisions)
    @invariant()
    def no_one_is_left_on_the_route_when_all_is_over(self) -> None:
        for member in self.world.members:
            if member.read < len(self.world.routes) or any(each._pending for each in member.rollouts._aliases.values()):
                return
        assert self.world.route.canary is None

    def teardown(self) -> None:
        """Whatever came before: without a pause, and with time, everything ends."""
        world = self.world
        world.human("resume")
        for _ in range(12):
            world.pass_s(LONGEST_S)
            for member in world.members:
                member.flaky = ""
                member.look()
        assert world.over, world.states
        assert world.route.canary is None


class ApprovedPaths(Paths):
    """The same, where two people have to approve the candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.world = RolloutWorld(people=2)

    @rule(person=st.sampled_from(["ann", "ann", "bob"]), approves=st.sampled_from([True, True, True, False]))
    def a_person_signs(self, person: str, approves: bool) -> None:
        self.world.signs(person, approves=approves, reason="" if approves else "rude")

    @invariant()
    def no_controller_put_the_candidate_on_the_route_before_two_people_agreed(self) -> None:
        ours = [each for each in self.world.routes if each.request and NEW in each.adapters]
        agreed = {each.inputs["by"] for each in self.world.signatures if each.inputs["action"] == "approve"}
        assert not ours or agreed == {"ann", "bob"}


TestApprovedPaths = ApprovedPaths.TestCase
TestApprovedPaths.settings = settings(max_examples=100, stateful_step_count=40, suppress_health_check=list(HealthCheck))
TestPaths = Paths.TestCase
TestPaths.settings = settings(max_examples=150, stateful_step_count=40, suppress_health_check=list(HealthCheck))


def grown(world: RolloutWorld, state: RolloutState, looks: int = 40) -> RolloutWorld:
    """All goes well until both controllers are in the state."""
    for _ in range(looks):
        if world.states == [state, state]:
            return world
        world.pass_s(0.5)
        world.refresh()
        world.replies("good", 2)
        for member in world.members:
            member.look()
    raise AssertionError(world.states)


def test_a_pause_in_the_very_moment_of_the_promotion_leaves_the_canary_guarded() -> None:
    """The pause wins the generation; the controller had already decided."""
    world = grown(RolloutWorld(), RolloutState.CANARY)
    world.replies("good", 10)
    world.human("pause")
    for member in world.members:
        member.tick()  # has not read of the pause
    for member in world.members:
        member.look()
    assert (world.route.champion, world.route.canary, world.route.paused) == (OLD, NEW, True)
    assert world.states == [RolloutState.CANARY, RolloutState.CANARY]
    for _ in range(12):
        world.replies("failing", 5)
        for member in world.members:
            member.look()
    assert (world.route.champion, world.route.canary, world.route.paused) == (OLD, None, True)


@pytest.mark.parametrize("human", [False, True])
def test_a_plan_that_could_not_begin_is_void_once_another_controller_is_through_with_it(human: bool) -> None:
    """Its first record was refused; when the log takes its records again, the candidate was withdrawn already."""
    world = RolloutWorld()
    world.members[1].flaky = "refused"
    world.members[1].look()
    for _ in range(5):
        world.refresh()
        world.members[0].look()
    assert world.route.canary == NEW
    world.pass_s(LONGEST_S)
    world.members[0].look()
    assert world.route.canary is None
    if human:
        world.human("promote another")
        world.human("roll back")
    for _ in range(5):
        world.refresh()
        world.members[1].look()
    assert (world.route.champion, world.route.canary) == (OLD, None)
    assert world.over


def test_a_pause_in_the_very_moment_of_the_withdrawal_leaves_the_canary_guarded() -> None:
    """The pause wins the generation that was to withdraw it; the controller had thought it was done."""
    world = grown(RolloutWorld(), RolloutState.CANARY)
    world.members.pop()
    world.human("pause")
    world.replies("failing", 30)
    world.members[0].tick()  # has not read of the pause
    world.members[0].look()
    assert (world.route.canary, world.route.paused) == (None, True)
    assert world.over


def test_a_withdrawal_that_was_never_written_and_lost_its_generation_is_made_again() -> None:
    world = grown(RolloutWorld(), RolloutState.CANARY)
    world.members.pop()
    member = world.members[0]
    world.replies("failing", 30)

    def dies(topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        if isinstance(event, RouteWritten):
            raise SystemExit
        member.append(topic, event, id=id, time_ms=time_ms)

    member.rollouts._context.append = dies
    with pytest.raises(SystemExit):
        member.rollouts.tick(world.now_ms)
    member.start()
    world.human("pause")
    member.tick()  # writes what it had decided, into the void
    world.replies("failing", 30)
    member.look()
    assert (world.route.canary, world.route.paused) == (None, True)
    assert world.over


def test_a_controller_that_dies_leaves_the_watch_to_the_other() -> None:
    world = grown(RolloutWorld(), RolloutState.PROMOTED)
    world.members.pop(0)
    for _ in range(20):
        world.replies("failing", 5)
        world.members[0].look()
    assert world.route.champion == OLD
    assert world.over


@pytest.mark.parametrize("i", [0, 1])
def test_a_watch_goes_on_after_a_restart_though_there_are_two_who_tell(i: int) -> None:
    world = grown(RolloutWorld(), RolloutState.PROMOTED)
    world.members = [world.members[i]]
    world.members[0].start()
    assert world.states == [RolloutState.PROMOTED]
    for _ in range(20):
        world.replies("failing", 5)
        world.members[0].look()
    assert world.route.champion == OLD


def test_the_candidate_promoted_by_a_human_is_the_humans() -> None:
    world = grown(RolloutWorld(), RolloutState.CANARY)
    world.human("promote the candidate")
    for _ in range(20):
        world.replies("failing", 5)
        for member in world.members:
            member.look()
    assert (world.route.champion, world.route.by) == (NEW, "human")
    assert world.over
