"""One controller process: follows retrainings' reports and scores, and ticks. At its start it continues from the log
what was left unfinished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from serving.replica import adapters
from serving.rollout.alias import FUNCTION
from serving.rollout.runner import Rollouts
from serving.routes.follower import Follower
from serving.routes.slots import too_high
from serving.settings import ControllerSettings
from streams import ledger
from streams.events import DecisionRecorded, RetrainReported, RouteWritten, ScoreBatch
from streams.identity import adapter_path
from streams.log.read import KafkaSettings, Writer, follow, read
from streams.topics import LEDGER, RESULTS, ROUTES, SCORES

log = structlog.get_logger()

BACK_OFF_S = 1.0


class Controller:
    """The controller. `source` names this writer in routes and headers. `adapter_root`: where candidates are looked at
    before their rollout begins; the replicas' reconcilers refuse those that do not lie there."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ControllerSettings,
        follower: Follower,
        source: str,
        adapter_root: Path,
    ) -> None:
        self._kafka, self._settings, self._follower, self._source = kafka, settings, follower, source
        self._root = adapter_root
        self._writer = Writer(kafka, source)
        self.rollouts = Rollouts(settings, follower.table, self._writer.append, source, self._unfit, self._history)

    def run(self, stop: threading.Event) -> None:
        """Run until `stop`. Waits for Kafka as long as it takes; the follower must be started."""
        self._insist(stop, self._recover)
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

    def _recover(self) -> None:
        """Read all results, too, before the first tick: of several promotions only the latest is worth a rollout."""
        if not self._follower.wait(5.0):
            raise TimeoutError("the routes' log is not read to its end yet")
        decisions = (r.event for r in follow(self._kafka, LEDGER, DecisionRecorded, stop=_never, until_end=True))
        ours = ledger.once(decision for decision in decisions if decision.function == FUNCTION)
        self.rollouts.recover(ours, self._history())
        for record in read(self._kafka, RESULTS, RetrainReported):
            self.rollouts.offer(record.event)

    def _history(self) -> list[RouteWritten]:
        return [record.event for record in read(self._kafka, ROUTES, RouteWritten)]

    def _results(self, stop: threading.Event) -> None:
        for record in follow(self._kafka, RESULTS, RetrainReported, stop=stop.is_set):
            self.rollouts.offer(record.event)

    def _scores(self, stop: threading.Event) -> None:
        from_end = not self.rollouts.active
        for record in follow(self._kafka, SCORES, ScoreBatch, stop=stop.is_set, from_end=from_end):
            self.rollouts.score(record)

    def _unfit(self, alias: str, digest: str) -> str:
        folder = adapter_path(self._root, alias, digest)
        try:
            adapters.check(folder, self._root)
            lacking = too_high(adapters.rank(folder), self._settings.max_lora_rank)
        except adapters.Unfit as error:
            return str(error)
        except OSError:
            return ""  # no such folder here: the replicas look at their own
        return f"{folder}: {lacking}" if lacking else ""

    def _insist(self, stop: threading.Event, task: Callable[[], None]) -> None:
        """Run the task again and again until it has ended without trouble, or `stop`."""
        while not stop.is_set():
            try:
                task()
                return
            except Exception as error:  # the loop's top: the broker may do anything
                log.warning("the log is away; trying again", error=repr(error))
                stop.wait(BACK_OFF_S)


def _never() -> bool:
    return False
