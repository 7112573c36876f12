"""One alias's rollout: asks the pure state machine, writes the ledger, then the route."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from monitor.settings import TrialSettings
from serving import metrics
from serving.append import Append
from serving.rollout.approvals import NOBODY, ApprovalRule, Signatures
from serving.rollout.guard import ReplyOutcome
from serving.rollout.machine import EDITION, step
from serving.rollout.outcomes import follow, outcomes
from serving.rollout.promotions import WaitingPromotion
from serving.rollout.recovery import ChampionSince, Unwritten, champion_since
from serving.rollout.senders import Senders
from serving.rollout.sessions import Sessions
from serving.rollout.state import Rollout, RolloutObservation, RolloutState, RolloutStep, WriteRoute, on_route
from serving.rollout.trial import Session
from serving.routes.routing import RouteTable
from serving.routes.slots import versions
from serving.settings import ControllerSettings
from streams import codec
from streams.events import DecisionRecorded, RouteWritten, ScoreBatch
from streams.identity import uuid7
from streams.kinds import DecisionKind
from streams.log.read import Record
from streams.routes import salt_name, without_salt
from streams.telemetry.retrainings import moved
from streams.telemetry.tracer import Tracer
from streams.topics import LEDGER, ROUTES

log = structlog.get_logger()

FUNCTION = "rollout.step"
SALT_BYTES = 16
UNBEGUN = (RolloutState.WAITING, RolloutState.PLANNED)
UNDRAWN = (*UNBEGUN, RolloutState.LOADING, RolloutState.ATTESTED)
STEPS_A_TICK = 4
SEEN_WITHIN_S = 5.0  # until our own route comes back from the log; then it is sent again
PATIENCE_S = 0.5  # for it, while other aliases wait


def new_salt() -> str:
    """Return a rollout's secret, by which its arms are drawn."""
    return secrets.token_hex(SALT_BYTES)


class FitnessCheck(Protocol):
    """The check of an adapter's files before its rollout begins."""

    def __call__(self, alias: str, digest: str) -> str:
        """Return why no engine may read the adapter; empty where one may, or where it is not known."""


@dataclass(slots=True)
class RolloutContext:
    """The parts that the rollouts of all aliases share. `history`: every record of the routes' log. `salt`: makes one
    for each rollout. `trial`: whether complaints may decide, and how. `approval`: how many people have to agree."""

    settings: ControllerSettings
    table: Callable[[], RouteTable]
    append: Append
    source: str
    unfit: FitnessCheck
    history: Callable[[], Iterable[RouteWritten]]
    salt: Callable[[], str]
    trial: TrialSettings
    approval: ApprovalRule = NOBODY
    tracer: Tracer | None = None  # of rollouts
    signatures: Signatures = field(default_factory=Signatures)
    handled: set[str] = field(default_factory=set)  # retrainings that some rollout was about, of all aliases


@dataclass(slots=True)
class PendingRoute:
    """A route that was not seen in the log yet."""

    route: RouteWritten
    sent_at_s: float = float("-inf")


@dataclass(slots=True)
class AliasRollout:
    """The rollout of one alias, and the promotion that waits for it. `score` may be called from another thread."""

    alias: str
    context: RolloutContext
    active: Rollout | None = None
    promotion: WaitingPromotion = field(init=False)
    _salt: str = ""  # the secret of the latest rollout; the rollout, and so the ledger, knows its name
    _pending: PendingRoute | None = None
    _ending: Rollout | None = None  # as it was before the step whose route, now pending, ends it
    _outcomes: list[ReplyOutcome] = field(default_factory=list)
    _senders: Senders = field(default_factory=Senders)
    _sessions: Sessions = field(init=False)
    _matured: list[Session] = field(default_factory=list)
    _counted: tuple[str, int] = ("", 0)  # the rollout's state since which the senders are counted
    _watermarks: dict[tuple[str, str, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        shared = self.context
        self.promotion = WaitingPromotion(
            self.alias, shared.history, shared.handled, self._salted, shared.trial, shared.approval
        )
        self._sessions = Sessions(shared.trial.session_s, shared.trial.wait_s)

    def recover(self, active: Rollout | None, champion: ChampionSince | None, unwritten: Unwritten | None) -> None:
        """Continue from where the log ends. A rollout that has drawn no arms yet gets a salt: of the one before, the
        ledger has but its name."""
        salt = self._salted()
        if active is not None and (active.state in UNDRAWN or not active.salt):
            active = msgspec.structs.replace(active, salt=salt)
        self.active, self.promotion.champion = active, champion
        if unwritten is not None:
            decision = unwritten.decision
            route = self._route(unwritten.intent, decision.id, unwritten.request_id, decision.time_ms)
            self._pending = PendingRoute(route)
            self._ending = unwritten.before if active is None else self._ending

    def score(self, record: Record[ScoreBatch]) -> None:
        """Take replies and labels while a rollout is watched; offsets seen before are left out. Those of a topic made
        again count from 0."""
        batch, rollout = record.event, self.active
        if rollout is None or record.timestamp_ms < rollout.begun_ms:
            return
        if self._counted != (rollout.request_id, rollout.begun_ms):
            self._counted = rollout.request_id, rollout.begun_ms
            self._senders.restart()
            self._sessions = Sessions(self._sessions.session_s, self._sessions.wait_s)
        at = (batch.source_topic, batch.topic_id, batch.partition)
        slow_ms, watermark = self.context.settings.latency_slo_ms, self._watermarks.get(at, 0)
        found = outcomes(batch, rollout, slow_ms, watermark, self._senders)
        with self._lock:
            if rollout.trial is not None:
                follow(self._sessions, batch, rollout, watermark)
            self._watermarks[at] = max(self._watermarks.get(at, 0), batch.last_offset + 1)
            self._outcomes += found

    def tick(self, route: RouteWritten, now_ms: int) -> None:
        """Move the rollout as far as it goes now. Raise KafkaError when the log does not take a record; nothing is
        then forgotten."""
        self.promotion.champion = champion_since(self.promotion.champion, route)
        if self.active is None and self._pending is None:
            self.active = self.promotion.begin(route, now_ms)
        for _ in range(STEPS_A_TICK):
            if not self._confirmed() or not self._advance(now_ms):
                break
        self._confirmed()
        metrics.show_rollout(self.alias, self.active.state.value if self.active is not None else "none")

    def _advance(self, now_ms: int) -> bool:
        """Take one step and return whether the state changed."""
        rollout, table = self.active, self.context.table()
        if rollout is None:
            return False
        if rollout.state in UNBEGUN and not self.promotion.still_worth(table.routes[self.alias]):
            self.active = None
            return False
        with self._lock:
            new = list(self._outcomes)
            self._matured += self._sessions.matured(now_ms)
            sessions = list(self._matured)
        observation = self._observation(table, rollout, new, now_ms)
        observation = msgspec.structs.replace(observation, sessions=sessions, proven=self.promotion.proven)
        done = step(self.context.settings, rollout, observation)
        changed = bool(done.actions) or (done.rollout.state, done.rollout.done) != (rollout.state, rollout.done)
        if changed:
            self._effect(rollout, observation, done)
        if done.rollout.done and done.actions:
            self._ending = _before(rollout, done.rollout, observation.route)
        self.active = None if done.rollout.done else done.rollout
        with self._lock:
            del self._outcomes[: None if done.rollout.done else len(new)]
            del self._matured[: None if done.rollout.done else len(sessions)]
        return changed

    def _observation(
        self, table: RouteTable, rollout: Rollout, new: list[ReplyOutcome], now_ms: int
    ) -> RolloutObservation:
        planned, waiting = rollout.state is RolloutState.PLANNED, rollout.state is RolloutState.WAITING
        others = [route for alias, route in table.routes.items() if alias != self.alias]
        return RolloutObservation(
            now_ms=now_ms,
            route=without_salt(table.routes[self.alias]),
            replicas=[table.attestations[name] for name in sorted(table.attestations)],
            outcomes=new,
            others=versions(msgspec.structs.replace(route, canary=None) for route in others),
            passing=sorted(route.canary for route in others if route.canary is not None),
            unfit=self.context.unfit(self.alias, rollout.digest) if planned else "",
            signatures=self.context.signatures.of(rollout.request_id, rollout.digest) if waiting else [],
        )

    def _effect(self, rollout: Rollout, observation: RolloutObservation, done: RolloutStep) -> None:
        """Write the intent before the effect: the ledger has the decision before the route is written."""
        now_ms, after = observation.now_ms, done.rollout
        decision = DecisionRecorded(
            id=uuid7(now_ms),
            alias=self.alias,
            time_ms=now_ms,
            kind=DecisionKind.ROLLOUT,
            function=FUNCTION,
            edition=EDITION,
            inputs={
                "settings": codec.plain(self.context.settings),
                "rollout": codec.plain(rollout),
                "observation": codec.plain(observation),
            },
            output=codec.plain(done),
            cause=rollout.request_id,
            summary=f"{rollout.candidate}: {rollout.state} -> {after.state}: {after.reason}",
        )
        self.context.append(LEDGER, decision, id=decision.id, time_ms=now_ms)
        self.context.handled.add(rollout.request_id)
        for intent in done.actions:
            self._pending = PendingRoute(self._route(intent, decision.id, rollout.request_id, now_ms))
        log.info("rollout", alias=self.alias, version=rollout.candidate, state=after.state, reason=after.reason)
        if after.done or after.state is RolloutState.PROMOTED:
            metrics.count_rollout(self.alias, _counted_as(after, observation))
        if self.context.tracer is not None:
            moved(self.context.tracer, rollout, after, now_ms)

    def _confirmed(self) -> bool:
        """Return whether no route of ours is still under way; send it (again) and wait a moment for it to come back.
        The next step finds out whether it won or lost."""
        pending = self._pending
        if pending is None:
            return True
        route = pending.route
        if not self._written(route) and time.monotonic() - pending.sent_at_s > SEEN_WITHIN_S:
            self.context.append(ROUTES, route, id=f"{route.cause}/route", time_ms=route.time_ms)
            pending.sent_at_s = time.monotonic()
        deadline = time.monotonic() + PATIENCE_S
        while not (written := self._written(route)) and time.monotonic() < deadline:
            time.sleep(0.005)
        if not written:
            return False
        self._pending = None
        current = self.context.table().routes[self.alias]
        if current.generation == route.generation and current.cause != route.cause:
            log.warning(
                "another writer's generation came first",
                alias=self.alias,
                generation=route.generation,
                by=current.by,
            )
        self._end(current)
        return True

    def _end(self, route: RouteWritten) -> None:
        """End a rollout whose last route is in force. Where another writer's is, go on with it as long as its
        candidate is on the route: no other controller may be there to look after it."""
        ending, self._ending = self._ending, None
        if ending is not None and on_route(ending, route):
            self.active = ending

    def _salted(self) -> str:
        """Make a salt for a rollout, and return its name."""
        self._salt = self.context.salt()
        return salt_name(self._salt)

    def _written(self, route: RouteWritten) -> bool:
        """Return whether the generation is in the log, by any writer."""
        current = self.context.table().routes.get(self.alias)
        return current is not None and current.generation >= route.generation

    def _route(self, intent: WriteRoute, cause: str, request_id: str, now_ms: int) -> RouteWritten:
        fields = msgspec.structs.asdict(intent) | {"salt": self._salt if intent.salt else ""}
        by = self.context.source
        return RouteWritten(alias=self.alias, time_ms=now_ms, by=by, cause=cause, request=request_id, **fields)


def _before(rollout: Rollout, ended: Rollout, route: RouteWritten) -> Rollout:
    """Return the rollout as it was before its last step, with what it has seen since."""
    return msgspec.structs.replace(rollout, guard=ended.guard, watch=ended.watch, generation=route.generation)


def _counted_as(rollout: Rollout, observation: RolloutObservation) -> str:
    """Return the counter's outcome; the quiet end after a promotion is another one than the promotion itself."""
    if rollout.done and rollout.state is RolloutState.PROMOTED:
        return "kept" if observation.route.champion == rollout.candidate else "overtaken"
    return rollout.state.value
