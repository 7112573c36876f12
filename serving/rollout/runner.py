"""Runs the rollouts: asks the pure state machine, writes the ledger, then the route.

A second controller does no harm: the first record of a generation wins, and the loser's rollout sees in the route
what became of it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from serving import metrics
from serving.rollout.guard import Outcome
from serving.rollout.machine import EDITION, step
from serving.rollout.outcomes import outcomes
from serving.rollout.recovery import recollect, reign
from serving.rollout.state import Observation, Rollout, State, Step, WriteRoute, on_route, plan
from serving.routes.routing import RouteTable
from serving.routes.slots import versions
from serving.settings import ControllerSettings
from streams import ledger
from streams.events import DecisionRecorded, Event, RetrainReported, RouteWritten, ScoreBatch
from streams.identity import uuid7, version_name
from streams.kinds import DecisionKind, RetrainStatus
from streams.log.read import Record
from streams.routes import in_force
from streams.topics import LEDGER, ROUTES, Topic

log = structlog.get_logger()

FUNCTION = "rollout.step"
STEPS_A_TICK = 4
SEEN_WITHIN_S = 5.0  # until our own route comes back from the log; then it is sent again
PATIENCE_S = 0.5  # for it, while other aliases wait


class Append(Protocol):
    """Returns once the record is confirmed; raises KafkaError."""

    def __call__(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> object: ...


class Unfit(Protocol):
    """Why no engine may read an adapter; empty where one may, or where it cannot be said."""

    def __call__(self, alias: str, digest: str) -> str: ...


class Rollouts:
    """All rollouts of this controller; thread-safe where `offer` and `score` are called."""

    def __init__(
        self,
        settings: ControllerSettings,
        table: Callable[[], RouteTable],
        append: Append,
        source: str,
        unfit: Unfit = lambda alias, digest: "",
        history: Callable[[], Iterable[RouteWritten]] = tuple,
    ) -> None:
        """`history`: every record of the routes' log, asked for when a rollout is about to begin."""
        self._settings, self._table, self._append, self._source = settings, table, append, source
        self._unfit, self._history = unfit, history
        self._lock = threading.Lock()
        self._active: dict[str, Rollout] = {}
        self._pending: dict[str, tuple[RouteWritten, float]] = {}  # not seen in the log yet, when last sent
        self._closing: dict[str, Rollout] = {}  # whose last word is that route; as they were before it
        self._waiting: dict[str, RetrainReported] = {}
        self._planned: dict[str, tuple[RetrainReported, int]] = {}  # worth a rollout at that generation
        self._handled: set[str] = set()
        self._offered: set[str] = set()
        self._reigns: dict[str, tuple[str, int]] = {}  # alias -> its champion, and since when
        self._outcomes: dict[str, list[Outcome]] = defaultdict(list)
        self._watermarks: dict[tuple[str, str, str, int], int] = {}

    @property
    def active(self) -> dict[str, Rollout]:
        """Those not over yet, by alias."""
        return dict(self._active)

    def recall(self, decisions: Iterable[DecisionRecorded], routes: Iterable[RouteWritten]) -> None:
        """Takes up what the log says: the decisions of all controllers in their order, and all routes."""
        found = recollect(decisions, routes)
        self._active, self._handled, self._reigns = found.active, found.handled, found.reigns
        for alias, each in found.unwritten.items():
            route = self._route(alias, each.intent, each.decision.id, each.request_id, each.decision.time_ms)
            self._pending[alias] = (route, float("-inf"))
            if alias not in self._active:
                self._closing[alias] = each.before

    def offer(self, result: RetrainReported) -> None:
        """A retraining's report, in the log's order; of an alias's promotions the latest counts, once."""
        if result.status is not RetrainStatus.PROMOTE or result.request_id in self._offered:
            return
        self._offered.add(result.request_id)
        if result.candidate is None or result.digest is None:
            log.error("promotion names no candidate; ignored", alias=result.alias, request=result.request_id)
        elif result.candidate != version_name(result.alias, result.digest):
            log.error(
                "candidate and digest do not belong together; ignored", alias=result.alias, version=result.candidate
            )
        else:
            with self._lock:
                self._waiting[result.alias] = result

    def score(self, record: Record[ScoreBatch]) -> None:
        """Replies and labels of an alias whose rollout is watched; offsets seen before are left out. Those of a topic
        made anew count from 0 again."""
        batch = record.event
        rollout = self._active.get(batch.alias)
        if rollout is None or record.timestamp_ms < rollout.begun_ms:
            return
        at = (batch.alias, batch.source_topic, batch.topic_id, batch.partition)
        found = outcomes(batch, rollout, self._settings.latency_slo_ms, self._watermarks.get(at, 0))
        with self._lock:
            self._watermarks[at] = max(self._watermarks.get(at, 0), batch.last_offset + 1)
            self._outcomes[batch.alias] += found

    def tick(self, now_ms: int) -> None:
        """Every alias one look further. Raises KafkaError when the log does not take a record; nothing is then
        forgotten."""
        routes = self._table().routes
        for alias in sorted(routes):
            self._reigns[alias] = reign(self._reigns.get(alias), routes[alias])
            self._begin(routes[alias], now_ms)
            for _ in range(STEPS_A_TICK):
                if not self._settled(alias) or not self._advance(alias, now_ms):
                    break
            self._settled(alias)
            metrics.show_rollout(alias, self._active[alias].state.value if alias in self._active else "none")

    def _begin(self, route: RouteWritten, now_ms: int) -> None:
        """Plans the waiting candidate, once nothing else is under way."""
        if route.alias in self._active or route.alias in self._pending:
            return
        with self._lock:
            result = self._waiting.pop(route.alias, None)
        if result is None or result.candidate is None or result.digest is None or result.request_id in self._handled:
            return
        if self._worth(route, result):
            self._planned[route.alias] = (result, route.generation)
            self._active[route.alias] = plan(route, result.request_id, result.candidate, result.digest, now_ms)

    def _reconsidered(self, route: RouteWritten) -> bool:
        """Whether a plan that has not begun yet is still worth it, now that somebody else has written a route."""
        result, generation = self._planned[route.alias]
        if route.generation == generation:
            return True
        self._reigns[route.alias] = reign(self._reigns.get(route.alias), route)
        if self._worth(route, result):
            self._planned[route.alias] = (result, route.generation)
            return True
        self._active.pop(route.alias)
        return False

    def _worth(self, route: RouteWritten, result: RetrainReported) -> bool:
        """Whether a promotion deserves a rollout; one that does not is never looked at again."""
        if why := self._void(route, result):
            log.info("no rollout", alias=route.alias, version=result.candidate, reason=why)
            self._handled.add(result.request_id)
        return not why

    def _void(self, route: RouteWritten, result: RetrainReported) -> str:
        """Why a promotion is not worth a rollout."""
        if result.candidate in (route.champion, route.previous):
            return "it is or was the champion already"
        champion, since_ms = self._reigns[route.alias]
        if result.time_ms <= since_ms:
            return f"it was proven against another champion than {champion}"
        history = list(self._history())
        begun = any(each.request == result.request_id for each in history)
        standing = in_force(history).get(route.alias, route).canary == result.candidate
        return "another controller's rollout of it is over" if begun and not standing else ""

    def _advance(self, alias: str, now_ms: int) -> bool:
        """One step; whether the state changed."""
        rollout = self._active.get(alias)
        if rollout is None:
            return False
        table = self._table()
        if rollout.state is State.PLANNED and not self._reconsidered(table.routes[alias]):
            return False
        with self._lock:
            new = list(self._outcomes[alias])
        observation = self._observation(table, rollout, new, now_ms)
        done = step(self._settings, rollout, observation)
        changed = bool(done.actions) or (done.rollout.state, done.rollout.done) != (rollout.state, rollout.done)
        if changed:
            self._effect(rollout, observation, done)
        if done.rollout.done and done.actions:
            self._closing[alias] = _before(rollout, done.rollout, observation.route)
        with self._lock:
            del self._outcomes[alias][: len(new)]
        self._keep(done.rollout)
        return changed

    def _observation(self, table: RouteTable, rollout: Rollout, new: list[Outcome], now_ms: int) -> Observation:
        planned = rollout.state is State.PLANNED
        others = [route for alias, route in table.routes.items() if alias != rollout.alias]
        return Observation(
            now_ms=now_ms,
            route=table.routes[rollout.alias],
            replicas=[table.attestations[name] for name in sorted(table.attestations)],
            outcomes=new,
            others=versions(msgspec.structs.replace(route, canary=None) for route in others),
            passing=sorted(route.canary for route in others if route.canary is not None),
            unfit=self._unfit(rollout.alias, rollout.digest) if planned else "",
        )

    def _effect(self, rollout: Rollout, observation: Observation, done: Step) -> None:
        """Intent before effect: the ledger has the decision before the route is written."""
        now_ms, alias = observation.now_ms, rollout.alias
        decision = DecisionRecorded(
            id=uuid7(now_ms),
            alias=alias,
            time_ms=now_ms,
            kind=DecisionKind.ROLLOUT,
            function=FUNCTION,
            edition=EDITION,
            inputs={
                "settings": ledger.plain(self._settings),
                "rollout": ledger.plain(rollout),
                "observation": ledger.plain(observation),
            },
            output=ledger.plain(done),
            cause=rollout.request_id,
            summary=f"{rollout.candidate}: {rollout.state} -> {done.rollout.state}: {done.rollout.reason}",
        )
        self._append(LEDGER, decision, id=decision.id, time_ms=now_ms)
        self._handled.add(rollout.request_id)
        for intent in done.actions:
            route = self._route(alias, intent, decision.id, rollout.request_id, now_ms)
            self._pending[alias] = (route, float("-inf"))
        log.info(
            "rollout", alias=alias, version=rollout.candidate, state=done.rollout.state, reason=done.rollout.reason
        )
        if done.rollout.done or done.rollout.state is State.PROMOTED:
            metrics.count_rollout(alias, _outcome(done.rollout, observation))

    def _settled(self, alias: str) -> bool:
        """Whether no route of ours is still under way; sends it (again) and waits a moment for it to come back. Whether
        it won or lost, the next step sees."""
        if alias not in self._pending:
            return True
        route, sent_at = self._pending[alias]
        if not self._written(route) and time.monotonic() - sent_at > SEEN_WITHIN_S:
            self._append(ROUTES, route, id=f"{route.cause}/route", time_ms=route.time_ms)
            self._pending[alias] = (route, time.monotonic())
        deadline = time.monotonic() + PATIENCE_S
        while not (written := self._written(route)) and time.monotonic() < deadline:
            time.sleep(0.005)
        if not written:
            return False
        del self._pending[alias]
        current = self._table().routes[alias]
        if current.generation == route.generation and current.cause != route.cause:
            log.warning("somebody else wrote this generation", alias=alias, generation=route.generation, by=current.by)
        self._close(alias, current)
        return True

    def _close(self, alias: str, route: RouteWritten) -> None:
        """A rollout is over once its last word is in force. Where another's is, it goes on as long as its candidate is
        on the route: nobody else may be there to look after it."""
        before = self._closing.pop(alias, None)
        if before is not None and on_route(before, route):
            self._active[alias] = before

    def _written(self, route: RouteWritten) -> bool:
        """Whether the generation is in the log, by whomever."""
        current = self._table().routes.get(route.alias)
        return current is not None and current.generation >= route.generation

    def _route(self, alias: str, intent: WriteRoute, cause: str, request_id: str, now_ms: int) -> RouteWritten:
        told = msgspec.structs.asdict(intent)
        return RouteWritten(alias=alias, time_ms=now_ms, by=self._source, cause=cause, request=request_id, **told)

    def _keep(self, rollout: Rollout) -> None:
        if rollout.done:
            self._active.pop(rollout.alias, None)
            with self._lock:
                self._outcomes.pop(rollout.alias, None)
        else:
            self._active[rollout.alias] = rollout


def _before(rollout: Rollout, ended: Rollout, route: RouteWritten) -> Rollout:
    """The rollout as it was before its last step, with what it has seen since."""
    seen = {"guard": ended.guard, "watch": ended.watch, "generation": route.generation}
    return msgspec.structs.replace(rollout, **seen)


def _outcome(rollout: Rollout, observation: Observation) -> str:
    """For the counter; a watch that ended quietly is another outcome than the promotion before it."""
    if rollout.done and rollout.state is State.PROMOTED:
        return "kept" if observation.route.champion == rollout.candidate else "overtaken"
    return rollout.state.value
