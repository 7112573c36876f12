"""The trainer: takes retraining requests one at a time, runs each one's job, records the verdict, then reports it.

Killed at any point, it or another trainer takes the request again once the lease has ended: the job goes on from its
checkpoint, and verdict and report are the same records under the same ids."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from kafka.errors import KafkaError

from retrain import metrics
from retrain.claims import attempt, namesakes, owner, pending
from retrain.evaluation import gate
from retrain.handover import Handover
from retrain.job_files import (
    JOBS,
    OUTCOME,
    PROGRESS,
    JobOutcome,
    JobSpec,
    TrainerPaths,
    TrainingProgress,
    read,
    write,
)
from retrain.registry.asking import send
from retrain.registry.follower import followed
from retrain.registry.schedule import BY, due
from retrain.requests import RetrainTopics
from retrain.runners.interface import JobState, Runner
from retrain.runners.local import LocalRunner
from retrain.runners.outcome import outcome
from retrain.settings import RetrainSettings
from streams import codec
from streams.clock import now_ms
from streams.codec import deterministic_id
from streams.events import DecisionRecorded, RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import DecisionKind, RetrainStatus
from streams.log.append import Writer
from streams.log.settings import KafkaSettings
from streams.telemetry.retrainings import retrained
from streams.telemetry.tracer import Tracer
from streams.topics import LEDGER, RESULTS

log = structlog.get_logger()

POLL_S = 0.5
BACK_OFF_S, SEEN_WITHIN_S = 2.0, 15.0


class Withdrawn(Exception):
    """The job was stopped before it had an outcome; the request stays for later."""


class Trainer:
    """One trainer. `me` is its name among trainers, the same after a restart; `runner` runs its jobs, this machine
    where none is given. `lacking`: what a job would miss, such as room on the disk; then none begins."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: RetrainSettings,
        paths: TrainerPaths,
        me: str,
        runner: Runner | None = None,
        tracer: Tracer | None = None,
        lacking: Callable[[], str] = lambda: "",
    ) -> None:
        self._settings, self._paths, self._me = settings, paths, me
        self._runner: Runner = LocalRunner(paths.var) if runner is None else runner
        self._topics, self._writer = RetrainTopics(kafka), Writer(kafka, me)
        self._mirror_writer = Writer(kafka, f"{me}/registry")
        self._namesakes: set[str] = set()  # that were logged
        self._tracer, self._began_ms = tracer, 0
        self._lacking, self._waits = lacking, False

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; a job that runs then is ended and its request released."""
        self._topics.start()
        mirror = followed(self._topics, self._paths.tracking, self._paths.var, self._mirror_writer, stop)
        while not stop.wait(POLL_S):
            try:
                if self._topics.ready():
                    self._turn(stop)
            except Exception:  # the loop's top: the broker may do anything
                log.exception("trainer's turn failed")
                stop.wait(BACK_OFF_S)
        mirror.join()  # a thread of its own: no retraining and no MLflow waits for the other
        self._topics.close()
        self._writer.close()
        self._mirror_writer.close()

    def _turn(self, stop: threading.Event) -> None:
        self._scheduled()
        for other in namesakes(self._topics.results, self._me, now_ms()) - self._namesakes:
            self._namesakes.add(other)
            log.error("another trainer has this one's name: set POD_NAME, one for each", me=self._me, other=other)
        for request in pending(self._topics.requests, self._topics.results, self._me, now_ms()):
            route = self._topics.routes.get(request.alias)
            if route is None or route.paused:
                continue
            if route.champion != request.champion:
                self._fail(request, f"{route.champion} serves by now, not {request.champion}")
            elif self._may_begin() and self._claim(request):
                self._retrain(request, route, stop)
            return

    def _may_begin(self) -> bool:
        """Return whether this trainer has what a job needs; without it each would fail at once, and be taken from
        another trainer that has it."""
        problem = self._lacking()
        if problem and not self._waits:
            log.error("no retraining begins here until nothing is lacking", lacking=problem)
        self._waits = bool(problem)
        return not problem

    def _scheduled(self) -> None:
        """Ask for the retrainings whose time has come."""
        if not (every_h := self._settings.every_h):
            return
        topics = self._topics
        for request in due(topics.all_routes, topics.requests, topics.results, every_h, now_ms()):
            send(request, "retrain", BY, self._writer.append)
            self._seen(partial(_among, topics, request))

    def _claim(self, request: RetrainRequested) -> bool:
        """Claim the request; return whether this trainer holds it, by the log's order."""
        claim = self._lease(request, self._settings.lease_s)
        self._seen(lambda: claim in self._topics.results)
        return self._mine(request)

    def _seen(self, there: Callable[[], bool]) -> None:
        """Wait until a record that was just written is read."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        while not there() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _mine(self, request: RetrainRequested) -> bool:
        return owner(self._topics.results, request.id, now_ms()) == self._me

    def _lease(self, request: RetrainRequested, seconds: float) -> RetrainReported:
        at_ms = now_ms()
        claim = self._report(request, RetrainStatus.CLAIMED, at_ms, lease_until_ms=at_ms + int(seconds * 1000))
        self._writer.append(RESULTS, claim, id=f"{request.id}/claim/{self._me}/{at_ms}", time_ms=at_ms)
        return claim

    def _retrain(self, request: RetrainRequested, route: RouteWritten, stop: threading.Event) -> None:
        log.info("retraining begins", alias=request.alias, request=request.id, champion=request.champion)
        metrics.BUSY.set(1)
        self._began_ms = now_ms()
        try:
            self._conclude(request, self._outcome(request, route, stop))
        except Withdrawn as reason:
            log.warning("retraining given back", alias=request.alias, request=request.id, reason=str(reason))
            if self._mine(request):
                self._lease(request, 0)
        finally:
            metrics.BUSY.set(0)

    def _outcome(self, request: RetrainRequested, route: RouteWritten, stop: threading.Event) -> JobOutcome:
        """Return the job's outcome, or the problem that kept it from one: other requests must not wait for it."""
        try:
            return self._job(request, route, stop)
        except (Withdrawn, KafkaError):
            raise
        except Exception as error:  # the request's top: its folder, its route or its files may be anything
            log.exception("the job could not be run", alias=request.alias, request=request.id)
            return JobOutcome(problem=f"the job could not be run: {type(error).__name__}: {error}")

    def _job(self, request: RetrainRequested, route: RouteWritten, stop: threading.Event) -> JobOutcome:
        """Run the job to its outcome. Raises Withdrawn where it must not go on."""
        spec, folder = self._spec(request, route), (self._paths.var / JOBS / request.id).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self._runner.start(spec)
        try:
            ended = self._watch(request, folder, stop)
        finally:
            if not self._runner.elsewhere:
                self._runner.stop(request.id)
        again = partial(self._rested, request, stop) if self._runner.elsewhere else None
        return outcome(Handover.of(spec, folder), ended, again)

    def _rested(self, request: RetrainRequested, stop: threading.Event) -> None:
        """Wait a little, and keep the request meanwhile. Raises Withdrawn where the trainer is stopped."""
        if stop.wait(BACK_OFF_S):
            raise Withdrawn("the trainer is stopped")
        self._lease(request, self._settings.lease_s)

    def _watch(self, request: RetrainRequested, folder: Path, stop: threading.Event) -> JobState:
        """Return how the job has ended, or how it is after its time."""
        began = renewed = time.monotonic()
        while (state := self._runner.poll(request.id)).running:
            now = time.monotonic()
            if why := self._objection(request, stop):
                if not stop.is_set():  # else one elsewhere goes on, for this trainer's next start or another's
                    self._runner.stop(request.id)
                raise Withdrawn(why)
            if now - began > self._settings.timeout_s:
                write(folder / OUTCOME, JobOutcome(problem=f"no outcome within {self._settings.timeout_s:g} s"))
                self._runner.stop(request.id)
                break
            if now - renewed > self._settings.lease_s / 3:
                self._lease(request, self._settings.lease_s)
                renewed = now
            progress = read(folder / PROGRESS, TrainingProgress)
            metrics.STEPS.set(progress.step if progress else 0)
            stop.wait(POLL_S)
        return state

    def _objection(self, request: RetrainRequested, stop: threading.Event) -> str:
        """Return why the job must not go on; empty where it may."""
        route = self._topics.routes.get(request.alias)
        if stop.is_set():
            return "the trainer is stopped"
        if route is not None and route.paused:
            return "the alias is paused"
        if route is not None and route.champion != request.champion:
            return f"{route.champion} serves by now"
        return "" if self._mine(request) else "another trainer has it"

    def _spec(self, request: RetrainRequested, route: RouteWritten) -> JobSpec:
        tried = attempt(request, self._topics.requests, self._topics.results)
        return self._paths.job(request, route.adapters[request.champion], self._settings, tried)

    def _conclude(self, request: RetrainRequested, outcome: JobOutcome) -> None:
        """Record the verdict in the ledger, then report it: no process acts on a verdict that is not recorded."""
        if outcome.verdict is None or outcome.gate is None:
            self._fail(request, outcome.problem or "the job came to no verdict")
            return
        at_ms, verdict = now_ms(), outcome.verdict
        decision = DecisionRecorded(
            id=deterministic_id("verdict", request.id, outcome.digest),
            alias=request.alias,
            time_ms=at_ms,
            kind=DecisionKind.VERDICT,
            function="gate.judge",
            edition=gate.EDITION,
            inputs={"gate": codec.plain(outcome.gate)},
            output=codec.plain(verdict),
            cause=request.id,
            summary=f"{outcome.candidate}: {verdict.status}: {verdict.reason}",
        )
        self._writer.append(LEDGER, decision, id=decision.id, time_ms=at_ms)
        report = self._report(
            request,
            RetrainStatus(verdict.status),
            at_ms,
            candidate=outcome.candidate,
            digest=outcome.digest,
            trained_rows=outcome.trained_rows,
            dataset_digest=outcome.dataset_digest,
            mlflow_run=outcome.mlflow_run,
            checks=[codec.plain(check) for check in verdict.checks],
            metrics=outcome.metrics,
            reason=verdict.reason,
            short_of_labels=gate.short_of_labels(outcome.gate),
        )
        self._end(request, report)

    def _fail(self, request: RetrainRequested, reason: str) -> None:
        self._end(request, self._report(request, RetrainStatus.FAILED, now_ms(), reason=reason))

    def _end(self, request: RetrainRequested, report: RetrainReported) -> None:
        self._writer.append(RESULTS, report, id=f"{request.id}/result", time_ms=report.time_ms)
        metrics.RETRAININGS.labels(request.alias, report.status.value).inc()
        log.info("retraining ended", alias=request.alias, request=request.id, status=report.status, why=report.reason)
        if self._tracer is not None:
            retrained(self._tracer, report, self._began_ms or report.time_ms)
            self._began_ms = 0
        self._seen(lambda: report in self._topics.results)  # else the next turn would take the request up again
        self._runner.forget(request.id)

    def _report(self, request: RetrainRequested, status: RetrainStatus, now_ms: int, **more: object) -> RetrainReported:
        return RetrainReported(
            request_id=request.id,
            alias=request.alias,
            status=status,
            time_ms=now_ms,
            by=self._me,
            **more,  # type: ignore[arg-type]
        )


def _among(topics: RetrainTopics, request: RetrainRequested) -> bool:
    return request in topics.requests
