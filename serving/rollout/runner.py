"""The rollouts of one controller, one for each alias.

A second controller does no harm: the first record of a generation wins, and the loser's rollout sees in the route
what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import structlog

from monitor.settings import TrialSettings
from serving.append import Append
from serving.rollout.alias import AliasRollout, FitnessCheck, RolloutContext, new_salt
from serving.rollout.approvals import NOBODY, ApprovalRule
from serving.rollout.promotions import NO_TRIAL
from serving.rollout.recovery import recover
from serving.rollout.state import Rollout
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings
from streams.events import DecisionRecorded, RetrainReported, RouteWritten, ScoreBatch
from streams.identity import version_name
from streams.kinds import RetrainStatus
from streams.log.read import Record
from streams.telemetry.tracer import Tracer

log = structlog.get_logger()


class Rollouts:
    """All rollouts of this controller; `offer` and `score` may be called from other threads than `tick`."""

    def __init__(
        self,
        settings: ControllerSettings,
        table: Callable[[], RouteTable],
        append: Append,
        source: str,
        unfit: FitnessCheck = lambda alias, digest: "",
        history: Callable[[], Iterable[RouteWritten]] = tuple,
        salt: Callable[[], str] = new_salt,
        trial: TrialSettings = NO_TRIAL,
        approval: ApprovalRule = NOBODY,
        tracer: Tracer | None = None,
    ) -> None:
        """`history`: every record of the routes' log, read when a rollout is about to begin. `salt`: makes one for each
        rollout. `trial`: whether complaints may settle what the gate left open. `approval`: how many people have to
        agree before a rollout begins. `tracer`: None where nothing is traced."""
        self._context = RolloutContext(settings, table, append, source, unfit, history, salt, trial, approval, tracer)
        self._aliases: dict[str, AliasRollout] = {}
        self._lock = threading.Lock()
        self._offered: set[str] = set()

    @property
    def active(self) -> dict[str, Rollout]:
        """Return those not over yet, by alias."""
        with self._lock:
            return {alias: each.active for alias, each in self._aliases.items() if each.active is not None}

    def recover(self, decisions: Iterable[DecisionRecorded], routes: Iterable[RouteWritten]) -> None:
        """Continue from where the log ends: the decisions of all controllers in their order, and all routes."""
        found = recover(decisions, routes)
        self._context.handled.clear()
        self._context.handled.update(found.handled)
        for alias in {*self._aliases, *found.champions, *found.active, *found.unwritten}:
            self._of(alias).recover(found.active.get(alias), found.champions.get(alias), found.unwritten.get(alias))

    def offer(self, result: RetrainReported) -> None:
        """Take a retraining's report, in the log's order; of an alias's promotions the latest counts, once. What the
        gate left open for want of labels alone is one to try, where that is allowed."""
        to_try = self._context.trial.allowed and result.status is RetrainStatus.INCONCLUSIVE and result.short_of_labels
        promoted = result.status is RetrainStatus.PROMOTE
        if not (promoted or to_try) or result.request_id in self._offered:
            return
        self._offered.add(result.request_id)
        if result.candidate is None or result.digest is None:
            log.error("promotion names no candidate; ignored", alias=result.alias, request=result.request_id)
        elif result.candidate != version_name(result.alias, result.digest):
            log.error(
                "candidate and digest do not belong together; ignored", alias=result.alias, version=result.candidate
            )
        else:
            self._of(result.alias).promotion.offer(result)

    def sign(self, decision: DecisionRecorded) -> None:
        """Take a decision of the ledger, which may be a person's signature about a candidate."""
        self._context.signatures.take(decision)

    def score(self, record: Record[ScoreBatch]) -> None:
        """Take replies and labels of an alias whose rollout is watched."""
        if (known := self._aliases.get(record.event.alias)) is not None:
            known.score(record)

    def tick(self, now_ms: int) -> None:
        """Move every alias's rollout as far as it goes now. Raise KafkaError when the log does not take a record;
        nothing is then forgotten."""
        routes = self._context.table().routes
        for alias in sorted(routes):
            self._of(alias).tick(routes[alias], now_ms)

    def _of(self, alias: str) -> AliasRollout:
        with self._lock:
            return self._aliases.setdefault(alias, AliasRollout(alias, self._context))
