"""Runs the rollouts: reads verdicts and scores, asks the pure state machine, writes the ledger, then the route.

A second controller does no harm: the first record of a generation wins, and the loser's rollout sees in the route
what became of it. Whoever starts takes up from the ledger what was left unfinished."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from serving import metrics
from serving.follower import Follower
from serving.guard import Outcome
from serving.rollout import Observation, Rollout, State, Step, WriteRoute, plan, step
from serving.routing import RouteTable
from serving.settings import ControllerSettings
from streams import ledger
from streams.events import (
    Arm,
    DecisionKind,
    DecisionRecorded,
    Event,
    RetrainReported,
    RetrainStatus,
    RouteWritten,
    ScoreBatch,
)
from streams.identity import uuid7, version_name
from streams.log import KafkaSettings, Record, Writer, follow, read
from streams.topics import INFERENCE, LEDGER, RESULTS, ROUTES, SCORES, Topic

log = structlog.get_logger()

FUNCTION = "rollout.step"
STEPS_A_TICK = 4
SEEN_WITHIN_S = 5.0  # until our own route comes back from the log
BACK_OFF_S = 1.0


class Append(Protocol):
    """Returns once the record is confirmed; raises KafkaError."""

    def __call__(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> object: ...


class Rollouts:
    """All rollouts of this controller; thread-safe where `offer` and `score` are called."""

    def __init__(
        self, settings: ControllerSettings, table: Callable[[], RouteTable], append: Append, source: str
    ) -> None:
        self._settings, self._table, self._append, self._source = settings, table, append, source
        self._lock = threading.Lock()
        self._active: dict[str, Rollout] = {}
        self._pending: dict[str, tuple[RouteWritten, float]] = {}  # not seen in the log yet, when last sent
        self._waiting: dict[str, RetrainReported] = {}
        self._handled: set[str] = set()
        self._outcomes: dict[str, list[Outcome]] = defaultdict(list)
        self._watermarks: dict[tuple[str, str, int], int] = {}

    @property
    def active(self) -> dict[str, Rollout]:
        """Those not over yet, by alias."""
        return dict(self._active)

    def recall(self, decisions: Iterable[DecisionRecorded], routes: Iterable[RouteWritten]) -> None:
        """Takes up what the log says: decisions in their order, and all routes. A decision whose route lost its
        generation is no part of the story; one whose route was never written is written now."""
        causes: set[str] = set()
        latest: dict[str, int] = {}
        for route in routes:
            if route.generation > latest.get(route.alias, 0):
                latest[route.alias] = route.generation
                causes.add(route.cause)
        for decision in decisions:
            told = msgspec.convert(decision.output, Step)
            self._handled.add(told.rollout.request_id)
            intent = next(iter(told.actions), None)
            unwritten = intent is not None and intent.generation > latest.get(decision.alias, 0)
            if intent is None or unwritten or decision.id in causes:
                self._keep(told.rollout)
                self._pending.pop(decision.alias, None)
                if unwritten and intent is not None:
                    route = self._route(decision.alias, intent, decision.id, decision.time_ms)
                    self._pending[decision.alias] = (route, float("-inf"))

    def offer(self, result: RetrainReported) -> None:
        """A retraining's report; the latest promotion of an alias that was not handled yet will be rolled out."""
        if result.status is not RetrainStatus.PROMOTE or result.request_id in self._handled:
            return
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
        """Replies and labels of an alias whose rollout is watched; offsets seen before are left out."""
        batch = record.event
        rollout = self._active.get(batch.alias)
        if rollout is None or record.timestamp_ms < rollout.begun_ms:
            return
        at = (batch.alias, batch.source_topic, batch.partition)
        found = outcomes(batch, rollout, self._settings.latency_slo_ms, self._watermarks.get(at, 0))
        with self._lock:
            self._watermarks[at] = max(self._watermarks.get(at, 0), batch.last_offset + 1)
            self._outcomes[batch.alias] += found

    def tick(self, now_ms: int) -> None:
        """Every alias one look further. Raises KafkaError when the log does not take a record; nothing is then
        forgotten."""
        routes = self._table().routes
        for alias in sorted(routes):
            self._begin(routes[alias], now_ms)
            for _ in range(STEPS_A_TICK):
                if not self._settled(alias) or not self._advance(alias, now_ms):
                    break
            metrics.show_rollout(alias, self._active[alias].state.value if alias in self._active else "none")

    def _begin(self, route: RouteWritten, now_ms: int) -> None:
        """Plans the waiting candidate, once nothing else is under way. One that is on the route already was
        handled."""
        if route.alias in self._active or route.alias in self._pending:
            return
        with self._lock:
            result = self._waiting.pop(route.alias, None)
        if result is None or result.candidate is None or result.digest is None or result.request_id in self._handled:
            return
        if result.candidate in (route.champion, route.previous):
            log.info("candidate is or was the champion already", alias=route.alias, version=result.candidate)
            self._handled.add(result.request_id)
            return
        self._active[route.alias] = plan(route, result.request_id, result.candidate, result.digest, now_ms)

    def _advance(self, alias: str, now_ms: int) -> bool:
        """One step; whether the state changed."""
        rollout = self._active.get(alias)
        if rollout is None:
            return False
        table = self._table()
        with self._lock:
            fresh = list(self._outcomes[alias])
        observation = Observation(
            now_ms=now_ms,
            route=table.routes[alias],
            replicas=[table.attestations[name] for name in sorted(table.attestations)],
            outcomes=fresh,
        )
        done = step(self._settings, rollout, observation)
        changed = bool(done.actions) or (done.rollout.state, done.rollout.done) != (rollout.state, rollout.done)
        if changed:
            self._effect(rollout, observation, done)
        with self._lock:
            del self._outcomes[alias][: len(fresh)]
        self._keep(done.rollout)
        return changed

    def _effect(self, rollout: Rollout, observation: Observation, done: Step) -> None:
        """Intent before effect: the ledger has the decision before the route is written."""
        now_ms, alias = observation.now_ms, rollout.alias
        decision = DecisionRecorded(
            id=uuid7(now_ms),
            alias=alias,
            time_ms=now_ms,
            kind=DecisionKind.ROLLOUT,
            function=FUNCTION,
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
            self._pending[alias] = (self._route(alias, intent, decision.id, now_ms), float("-inf"))
        log.info(
            "rollout", alias=alias, version=rollout.candidate, state=done.rollout.state, reason=done.rollout.reason
        )
        if done.rollout.done or done.rollout.state is State.PROMOTED:
            metrics.count_rollout(alias, "kept" if _kept(done.rollout) else done.rollout.state.value)

    def _settled(self, alias: str) -> bool:
        """Whether no route of ours is still under way; sends it (again) and waits a little for it to come back."""
        if alias not in self._pending:
            return True
        route, sent_at = self._pending[alias]
        if self._won(route) is None and time.monotonic() - sent_at > SEEN_WITHIN_S:
            self._append(ROUTES, route, id=f"{route.cause}/route", time_ms=route.time_ms)
            self._pending[alias] = (route, time.monotonic())
        deadline = time.monotonic() + SEEN_WITHIN_S
        while (won := self._won(route)) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if won is None:
            return False
        del self._pending[alias]
        if not won:
            log.warning("somebody else wrote this generation", alias=alias, generation=route.generation)
        return True

    def _won(self, route: RouteWritten) -> bool | None:
        """None until the generation is in the log."""
        current = self._table().routes.get(route.alias)
        if current is None or current.generation < route.generation:
            return None
        return current.generation > route.generation or current.cause == route.cause

    def _route(self, alias: str, intent: WriteRoute, cause: str, now_ms: int) -> RouteWritten:
        return RouteWritten(alias=alias, time_ms=now_ms, by=self._source, cause=cause, **msgspec.structs.asdict(intent))

    def _keep(self, rollout: Rollout) -> None:
        if rollout.done:
            self._active.pop(rollout.alias, None)
            with self._lock:
                self._outcomes.pop(rollout.alias, None)
        else:
            self._active[rollout.alias] = rollout


class Controller:
    """`source` names this writer in routes and headers."""

    def __init__(self, kafka: KafkaSettings, settings: ControllerSettings, follower: Follower, source: str) -> None:
        self._kafka, self._settings, self._follower, self._source = kafka, settings, follower, source
        self._writer = Writer(kafka, source)
        self.rollouts = Rollouts(settings, follower.table, self._writer.append, source)

    def run(self, stop: threading.Event) -> None:
        """Blocks until `stop`. Waits for Kafka as long as it takes; the follower must be started."""
        self._insist(stop, self._recall)
        threads = [
            threading.Thread(target=self._insist, args=(stop, task), daemon=True)
            for task in (lambda: self._results(stop), lambda: self._scores(stop))
        ]
        for thread in threads:
            thread.start()
        while not stop.wait(self._settings.poll_s):
            try:
                self.rollouts.tick(time.time_ns() // 1_000_000)
            except Exception:  # the loop's top: the next tick tries again
                log.exception("controller tick failed")
                stop.wait(BACK_OFF_S)
        for thread in threads:
            thread.join(5)
        self._writer.close()

    def _recall(self) -> None:
        if not self._follower.wait(5.0):
            raise TimeoutError("the routes' log is not read to its end yet")
        decisions = (r.event for r in follow(self._kafka, LEDGER, DecisionRecorded, stop=_never, until_end=True))
        ours = ledger.once(decision for decision in decisions if decision.function == FUNCTION)
        self.rollouts.recall(ours, [r.event for r in read(self._kafka, ROUTES, RouteWritten)])

    def _results(self, stop: threading.Event) -> None:
        for record in follow(self._kafka, RESULTS, RetrainReported, stop=stop.is_set):
            self.rollouts.offer(record.event)

    def _scores(self, stop: threading.Event) -> None:
        from_end = not self.rollouts.active
        for record in follow(self._kafka, SCORES, ScoreBatch, stop=stop.is_set, from_end=from_end):
            self.rollouts.score(record)

    def _insist(self, stop: threading.Event, task: Callable[[], None]) -> None:
        """Until it has ended without trouble, or `stop`."""
        while not stop.is_set():
            try:
                task()
                return
            except Exception as error:  # the loop's top: the broker may do anything
                log.warning("the log is away; trying again", error=repr(error))
                stop.wait(BACK_OFF_S)


def outcomes(batch: ScoreBatch, rollout: Rollout, slow_ms: float, watermark: int) -> list[Outcome]:
    """What a batch says about the two versions, from the offset `watermark` on. Shadow replies reach no client."""
    rows, served = batch.rows.after(watermark), batch.source_topic == INFERENCE.name
    found: list[Outcome] = []
    for i, version in enumerate(rows.versions):
        if version not in (rollout.candidate, rollout.champion) or rows.arms[i] == Arm.SHADOW:
            continue
        candidate = version == rollout.candidate
        if served:
            error = rows.statuses[i] >= 500
            found.append(Outcome(candidate, error=error, slow=None if error else rows.latency_ms[i] > slow_ms))
        elif (correct := rows.correct[i]) is not None:
            found.append(Outcome(candidate, wrong=not correct))
    return found


def _kept(rollout: Rollout) -> bool:
    return rollout.done and rollout.state is State.PROMOTED


def _never() -> bool:
    return False
