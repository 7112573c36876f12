"""Two controllers, three replicas, a human and one log, driven by hand: whatever may happen to a rollout."""

from __future__ import annotations

import contextlib
import itertools
from types import MappingProxyType
from typing import Any

import msgspec
from kafka.errors import KafkaTimeoutError

from deploy.operator.replay import derive
from monitor.rows import ScoreRows
from monitor.settings import TrialSettings
from serving.rollout.approvals import ApprovalRule
from serving.rollout.changes import Change, Named, Pause, Promote, Rollback, Shadow
from serving.rollout.guard import lacking, verdict
from serving.rollout.machine import attested
from serving.rollout.promotions import NO_TRIAL
from serving.rollout.runner import Rollouts
from serving.rollout.state import RolloutState, RolloutStep
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings
from streams import codec
from streams.events import DecisionRecorded, Event, ReplicaAttested, RetrainReported, RouteWritten, ScoreBatch
from streams.identity import version_name
from streams.kinds import Arm, RetrainStatus
from streams.log.read import Record
from streams.routes import in_force
from streams.signatures import Signature, signed
from streams.topics import FEEDBACK, INFERENCE, LEDGER, ROUTES, Topic

ALIAS = "support"
APPROVAL_S = 300
OLD_DIGEST, NEW_DIGEST, OTHER_DIGEST = "a" * 64, "b" * 64, "c" * 64
OLD, NEW, OTHER = (version_name(ALIAS, digest) for digest in (OLD_DIGEST, NEW_DIGEST, OTHER_DIGEST))
SETTINGS = ControllerSettings(canary_requests=6, loading_timeout_s=60, canary_timeout_s=120, guard_watch_s=90)
FIRST = RouteWritten(
    alias=ALIAS, generation=1, champion=OLD, adapters={OLD: OLD_DIGEST}, time_ms=0, by="human", cause="first"
)
HUMAN: dict[str, Change] = {
    "pause": Pause(True),
    "resume": Pause(False),
    "promote another": Promote(Named(OTHER, OTHER_DIGEST)),
    "promote the candidate": Promote(Named(NEW, NEW_DIGEST)),
    "roll back": Rollback(),
    "shadow": Shadow(Named(OTHER, OTHER_DIGEST)),
    "no shadow": Shadow(None),
}


class ControllerMember:
    """One controller process: what it has read of the log, and how its next appends go."""

    def __init__(self, world: RolloutWorld, name: str) -> None:
        self.world, self.name = world, name
        self.read = 0  # of the routes
        self.flaky = ""  # "", "refused", or "taken but not confirmed": the next append
        self.start()

    def start(self) -> None:
        """Start again: everything it knows is in the log."""
        self.read = len(self.world.routes)
        source, history = f"controller/{self.name}", lambda: list(self.world.routes)
        salt = f"a secret of {self.name}"
        self.rollouts = Rollouts(
            self.world.settings,
            self.table,
            self.append,
            source,
            history=history,
            salt=lambda: salt,
            trial=self.world.trial,
            approval=self.world.approval,
        )
        self.rollouts.recover(self.world.decisions, self.world.routes)
        self.rollouts.offer(self.world.result)
        for signature in self.world.signatures:
            self.rollouts.sign(signature)

    def table(self) -> RouteTable:
        routes = in_force(self.world.routes[: self.read])
        return RouteTable(MappingProxyType(routes), MappingProxyType(self.world.attestations))

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        flaky, self.flaky = self.flaky, ""
        if flaky == "refused":
            raise KafkaTimeoutError("not taken")
        self.world.take(topic, codec.decode(type(event), codec.encode(event)))
        if flaky:
            raise KafkaTimeoutError("taken, but not confirmed")
        self.read = len(self.world.routes)

    def tick(self) -> None:
        with contextlib.suppress(KafkaTimeoutError):
            self.rollouts.tick(self.world.now_ms)

    def look(self) -> None:
        """Reads the log to its end, and ticks."""
        self.read = len(self.world.routes)
        self.tick()


class RolloutWorld:
    def __init__(
        self, settings: ControllerSettings = SETTINGS, trial: TrialSettings = NO_TRIAL, people: int = 0
    ) -> None:
        self.approval, self.signatures = ApprovalRule(people, APPROVAL_S), list[DecisionRecorded]()
        self.settings, self.trial, self.now_ms = settings, trial, 1_000_000
        self.routes: list[RouteWritten] = [FIRST]
        self.decisions: list[DecisionRecorded] = []
        self.attestations: dict[str, ReplicaAttested] = {}
        self.offsets = itertools.count()
        self.result = RetrainReported(
            request_id="request",
            alias=ALIAS,
            status=RetrainStatus.PROMOTE,
            time_ms=self.now_ms,
            by="trainer",
            candidate=NEW,
            digest=NEW_DIGEST,
        )
        for name in ("r1", "r2", "r3"):
            self.attest(name)
        self.members = [ControllerMember(self, "a"), ControllerMember(self, "b")]

    @property
    def route(self) -> RouteWritten:
        return in_force(self.routes)[ALIAS]

    def take(self, topic: Topic, event: Event) -> None:
        if topic == LEDGER:
            assert isinstance(event, DecisionRecorded)
            self.decisions.append(event)
            assert derive(event).same, derive(event).difference
        else:
            assert topic == ROUTES
            assert isinstance(event, RouteWritten)
            before = self.route
            self.routes.append(event)
            if self.route is event:
                self.check(before, event)

    def check(self, before: RouteWritten, route: RouteWritten) -> None:
        """What must hold of every route in force that no human wrote."""
        assert route.generation == before.generation + 1
        assert set(route.adapters) == {route.champion, route.canary, route.previous, route.shadow} - {None}
        decision = next(each for each in self.decisions if each.id == route.cause)
        done = msgspec.convert(decision.output, RolloutStep)
        withdrawn = route.canary is None and route.champion in (OLD, before.champion)
        assert withdrawn or not before.paused, "a pause stops everything but a withdrawal"
        assert before.shadow == route.shadow
        assert bool(route.salt) is bool(route.weight), "arms are drawn by a secret"
        if before.weight and route.weight:
            drawn_by = (before.canary, before.weight, before.salt)
            assert drawn_by == (route.canary, route.weight, route.salt), "no arm changes while arms are compared"
        if route.champion == before.champion:
            return
        if route.champion == NEW:
            self._check_promotion(decision)
        else:
            assert done.rollout.state is RolloutState.ROLLED_BACK
            assert (before.champion, before.request, route.champion) == (NEW, "request", OLD)

    def _check_promotion(self, decision: DecisionRecorded) -> None:
        from serving.rollout.state import Rollout, RolloutObservation

        before = msgspec.convert(decision.inputs["rollout"], Rollout)
        seen = msgspec.convert(decision.inputs["observation"], RolloutObservation)
        after = msgspec.convert(decision.output, RolloutStep).rollout
        assert before.state is RolloutState.CANARY
        assert not seen.route.paused
        assert attested(self.settings, before, seen)
        well = [each for each in seen.replicas if each.healthy and seen.now_ms - each.time_ms <= 15_000]
        assert well
        assert all(each.versions.get(NEW) == NEW_DIGEST for each in well)
        assert after.guard is not None
        assert lacking(after.guard, self.settings.canary_requests) == ""
        assert verdict(after.guard).state == "ok"

    def attest(self, name: str, *, new: bool = True, healthy: bool = True, digest: str = NEW_DIGEST) -> None:
        self.attestations[name] = ReplicaAttested(
            replica=name,
            url=f"http://{name}",
            time_ms=self.now_ms,
            healthy=healthy,
            base_model="base",
            versions={OLD: OLD_DIGEST, **({NEW: digest} if new else {})},
            generations={},
        )

    def human(self, what: str) -> None:
        """Straight into the log, as `operations` does: the change is made to the route in force."""
        known = {ALIAS: self.route}
        try:
            route = HUMAN[what](known, ALIAS, None)
        except LookupError:
            return
        if route is not known[ALIAS]:
            cause = f"human {len(self.routes)}"
            self.routes.append(msgspec.structs.replace(route, by="human", cause=cause, time_ms=self.now_ms))

    def batch(
        self, kind: str, count: int, *, age_s: float = 0.0, about: list[str] | None = None, unit: int = 0
    ) -> Record[ScoreBatch]:
        """Replies of both arms, every second one the candidate's. `age_s`: how late they come. `about`: the replies
        that labels are given to. `unit`: whose the candidate's are, where they are one's. "standing in": the champion
        answers for a canary that is missing."""
        versions = [OLD, NEW] * count
        offsets = [next(self.offsets) for _ in versions]
        served = kind in ("good", "failing", "standing in")
        columns: dict[str, Any] = {"losses": [float(v != OLD and kind != "right") for v in versions]}
        if kind == "complaining":
            columns = {"losses": [None] * len(versions), "complaints": [v == OLD for v in versions]}
        if served:
            bad = [v == NEW and kind == "failing" for v in versions]
            columns = {"statuses": [500 if each else 200 for each in bad], "latency_ms": [5.0] * len(bad)}
            columns["units"] = [0, unit] * count
        at = self.now_ms - int(age_s * 1000)
        rows = ScoreRows(
            offsets=offsets,
            ids=about or [str(offset) for offset in offsets],
            times_ms=[at] * len(offsets),
            versions=[OLD] * len(versions) if kind == "standing in" else versions,
            arms=([Arm.CHAMPION.value] * 2 if kind == "standing in" else [Arm.CHAMPION.value, Arm.CANARY.value])
            * count,
            assigned=[Arm.CHAMPION.value, Arm.CANARY.value] * count,
            clients=["c"] * len(offsets),
            **columns,
        )
        batch = ScoreBatch(
            alias=ALIAS,
            source_topic=(INFERENCE if served else FEEDBACK).name,
            partition=0,
            first_offset=offsets[0],
            last_offset=offsets[-1],
            descriptor_names=[],
            rows=rows,
        )
        return Record(0, offsets[0], at, batch)

    def signs(self, person: str, *, approves: bool = True, reason: str = "") -> None:
        """A person's signature of the candidate, which every controller reads."""
        self.signatures.append(
            signed(self.result, Signature(by=person, approves=approves, time_ms=self.now_ms, reason=reason))
        )
        for member in self.members:
            member.rollouts.sign(self.signatures[-1])

    def replies(self, kind: str, count: int, *, age_s: float = 0.0) -> None:
        """Every controller follows the scores; labels are about replies that came before them."""
        if kind in ("right", "wrong"):
            answered = self.batch("good", count, age_s=age_s)
            self.follow(answered)
            self.follow(self.batch(kind, count, age_s=age_s, about=answered.event.rows.ids))
        else:
            self.follow(self.batch(kind, count, age_s=age_s))

    def follow(self, record: Record[ScoreBatch]) -> None:
        for member in self.members:
            member.rollouts.score(record)

    def pass_s(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    def refresh(self) -> None:
        """Every replica attests again what it attested last."""
        for name, last in list(self.attestations.items()):
            self.attestations[name] = msgspec.structs.replace(last, time_ms=self.now_ms)

    @property
    def states(self) -> list[RolloutState | None]:
        """Of each controller's rollout; None where it has none under way."""
        active = [member.rollouts.active.get(ALIAS) for member in self.members]
        return [each.state if each else None for each in active]

    @property
    def over(self) -> bool:
        return not any(self.states)
