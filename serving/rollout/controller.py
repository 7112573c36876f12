"""One controller process: follows retrainings' reports and scores, and ticks. At its start it continues from the log
what was left unfinished."""

from __future__ import annotations

import threading
from typing import Any

import structlog

from monitor.settings import TrialSettings
from serving.replica import adapters
from serving.rollout.alias import FUNCTION
from serving.rollout.approvals import NOBODY, ApprovalRule
from serving.rollout.promotions import NO_TRIAL
from serving.rollout.runner import Rollouts
from serving.routes.follower import Follower
from serving.routes.slots import too_high
from serving.settings import ControllerSettings
from streams import ledger
from streams.clock import now_ms
from streams.events import DecisionRecorded, RetrainReported, RouteWritten, ScoreBatch
from streams.identity import ADAPTERS, adapter_key
from streams.log.append import Writer
from streams.log.following import Following
from streams.log.read import follow, read
from streams.log.settings import KafkaSettings
from streams.objects.tree import Trees
from streams.telemetry.tracer import Tracer
from streams.topics import LEDGER, RESULTS, ROUTES, SCORES

log = structlog.get_logger()

BACK_OFF_S = 1.0


class Controller:
    """The controller. `source` names this writer in routes and headers. `trees`: where candidates are looked at before
    their rollout begins; their store has little patience, for rollouts wait meanwhile. `trial`: what complaints
    may decide. `approval`: how many people have to agree before a rollout begins."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ControllerSettings,
        follower: Follower,
        source: str,
        trees: Trees,
        trial: TrialSettings = NO_TRIAL,
        approval: ApprovalRule = NOBODY,
        tracer: Tracer | None = None,
    ) -> None:
        self._kafka, self._settings, self._follower, self._source = kafka, settings, follower, source
        self._trees, self._approval = trees, approval
        self._writer = Writer(kafka, source)
        self.rollouts = Rollouts(
            settings,
            follower.table,
            self._writer.append,
            source,
            self._unfit,
            self._history,
            trial=trial,
            approval=approval,
            tracer=tracer,
        )

    def run(self, stop: threading.Event) -> None:
        """Run until `stop`, and wait for Kafka as long as it takes; the follower must be started."""
        self._recover_until_done(stop)
        results = Following(self._kafka, RESULTS, RetrainReported, lambda each: self.rollouts.offer(each.event), stop)
        scores = Following(self._kafka, SCORES, ScoreBatch, self.rollouts.score, stop, from_end=self._no_rollout)
        signatures = Following(self._kafka, LEDGER, DecisionRecorded, lambda each: self.rollouts.sign(each.event), stop)
        threads: list[Following[Any]] = [results, scores, *([signatures] if self._approval.people else [])]
        for each in threads:
            each.start()
        while not stop.wait(self._settings.poll_s):
            try:
                self.rollouts.tick(now_ms())
            except Exception:  # the loop's top: the next tick tries again
                log.exception("controller tick failed")
                stop.wait(BACK_OFF_S)
        for each in threads:
            each.join()
        self._writer.close()

    def _no_rollout(self) -> bool:
        """Return whether only scores to come count: a rollout under way is judged by all since it began."""
        return not self.rollouts.active

    def _recover_until_done(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._recover()
                return
            except Exception as error:  # the loop's top: the broker may do anything
                log.warning("the log is away, trying again", error=repr(error))
                stop.wait(BACK_OFF_S)

    def _recover(self) -> None:
        """Read all results, too, before the first tick: of several promotions only the latest is worth a rollout."""
        if not self._follower.wait(5.0):
            raise TimeoutError("the routes' log is not read to its end yet")
        decisions = (r.event for r in follow(self._kafka, LEDGER, DecisionRecorded, stop=lambda: False, until_end=True))
        ours = ledger.once(decision for decision in decisions if decision.function == FUNCTION)
        self.rollouts.recover(ours, self._history())
        for record in read(self._kafka, RESULTS, RetrainReported):
            self.rollouts.offer(record.event)

    def _history(self) -> list[RouteWritten]:
        return [record.event for record in read(self._kafka, ROUTES, RouteWritten)]

    def _unfit(self, alias: str, digest: str) -> str:
        try:
            folder = self._trees.fetch(adapter_key(alias, digest))
            adapters.check(folder, self._trees.home / ADAPTERS)
            lacking = too_high(adapters.rank(folder), self._settings.max_lora_rank)
        except ValueError as error:  # unfit, damaged, or a digest that is none
            return str(error)
        except OSError:
            return ""  # not here, or the store is away: the replicas look by themselves
        return f"{folder}: {lacking}" if lacking else ""
