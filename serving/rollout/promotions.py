"""The promotion that waits for an alias's rollout, and whether it is still worth one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from monitor.settings import TrialSettings
from serving.rollout.recovery import ChampionSince, champion_since
from serving.rollout.state import Rollout, plan
from serving.rollout.trial import start_trial
from streams.events import RetrainReported, RouteWritten
from streams.kinds import RetrainStatus
from streams.routes import in_force

log = structlog.get_logger()

NO_TRIAL = TrialSettings()


@dataclass(slots=True)
class WaitingPromotion:
    """The latest promotion of one alias. `history`: every record of the routes' log. `handled`: retrainings that some
    rollout was about, of all aliases. `salt`: makes one for each rollout, and returns its name. `trial`: of a candidate
    that the gate left open. `offer` may be called from another thread."""

    alias: str
    history: Callable[[], Iterable[RouteWritten]]
    handled: set[str]
    salt: Callable[[], str]
    trial: TrialSettings = NO_TRIAL
    champion: ChampionSince | None = None
    _waiting: RetrainReported | None = None  # not begun yet
    _planned: tuple[RetrainReported, int] | None = None  # worth a rollout when the route had this generation
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, result: RetrainReported) -> None:
        """Take a promotion; of several the latest counts. A candidate to try takes the place of none that is proven."""
        with self._lock:
            if result.status is RetrainStatus.PROMOTE or not self.proven:
                self._waiting = result

    @property
    def proven(self) -> str:
        """Return the candidate that waits and that the gate has passed; empty where none does."""
        waiting = self._waiting
        return (waiting.candidate or "") if waiting and waiting.status is RetrainStatus.PROMOTE else ""

    def begin(self, route: RouteWritten, now_ms: int) -> Rollout | None:
        """Plan the waiting promotion's rollout; None where there is none, or it is not worth one."""
        with self._lock:
            result, self._waiting = self._waiting, None
        if result is None or result.candidate is None or result.digest is None or result.request_id in self.handled:
            return None
        if not self._worth(route, result):
            return None
        self._planned = result, route.generation
        settles = result.status is not RetrainStatus.PROMOTE
        trial = start_trial(self.trial.margin, self.trial.alpha, self.trial.longest_s) if settles else None
        return plan(route, result.request_id, result.candidate, result.digest, now_ms, self.salt(), trial)

    def still_worth(self, route: RouteWritten) -> bool:
        """Return whether a rollout that is only planned is still worth it, where another writer's route came first."""
        if self._planned is None or route.generation == self._planned[1]:
            return True
        result = self._planned[0]
        self._planned = result, route.generation
        return self._worth(route, result)

    def _worth(self, route: RouteWritten, result: RetrainReported) -> bool:
        """Return whether a promotion deserves a rollout; one that does not is never looked at again."""
        if why := self._void(route, result):
            log.info("no rollout", alias=self.alias, version=result.candidate, reason=why)
            self.handled.add(result.request_id)
        return not why

    def _void(self, route: RouteWritten, result: RetrainReported) -> str:
        """Return why a promotion is not worth a rollout; empty where it is."""
        if result.candidate in (route.champion, route.previous):
            return "it is or was the champion already"
        champion = self.champion = champion_since(self.champion, route)
        if result.time_ms <= champion.since_ms:
            return f"it was proven against another champion than {champion.version}"
        history = list(self.history())
        begun = any(each.request == result.request_id for each in history)
        standing = in_force(history).get(self.alias, route).canary == result.candidate
        return "another controller's rollout of it is over" if begun and not standing else ""
