"""The follower of the routes: it mirrors them into MLflow whenever they say something new.

MLflow may be away for as long as it likes: nothing waits for it, and what it has missed is mirrored once it is back."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from retrain.registry.approvals import RegistryApproval, decision
from retrain.registry.versions import MirrorOrder, ordered
from retrain.requests import RetrainTopics
from retrain.settings import TrackingSettings
from streams.clock import now_ms
from streams.events import DecisionRecorded, RetrainReported
from streams.log.append import Writer
from streams.signatures import passed
from streams.topics import LEDGER

log = structlog.get_logger()

LOOK_S = 1.0
PATIENCE_S = 120.0  # with one mirroring
REST_S = 60.0  # after trouble, and between two looks at what people approved
ERRORS = 500  # characters of a process's last words


def followed(
    topics: RetrainTopics, tracking: TrackingSettings, var: Path, writer: Writer, stop: threading.Event
) -> threading.Thread:
    """Begin to mirror what these topics say, where the settings want it, until `stop`; return the thread."""
    store = str(var.resolve() / "mlflow")

    def order() -> MirrorOrder | None:
        if not topics.ready():
            return None
        return ordered(topics.all_routes, topics.results, approvals=tracking.approvals, store=store)

    def record(made: DecisionRecorded) -> None:
        writer.append(LEDGER, made, id=made.id, time_ms=made.time_ms)

    work = RegistryFollower(order, lambda: topics.results, record).run if tracking.registry else threading.Event.is_set
    thread = threading.Thread(target=work, args=(stop,), daemon=True)
    thread.start()
    return thread


@dataclass(slots=True)
class RegistryFollower:
    """Mirrors what `order` gives (None: the log is not read yet), and hands approvals of candidates that have passed
    the gate, by `results`, to `record`, each once."""

    order: Callable[[], MirrorOrder | None]
    results: Callable[[], Iterable[RetrainReported]]
    record: Callable[[DecisionRecorded], None]
    rest_s: float = REST_S
    _done: MirrorOrder | None = None
    _recorded: set[str] = field(default_factory=set)
    _next_s: float = 0.0  # not before, unless the order has changed; on the monotonic clock
    _failed: bool = False

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop`."""
        while not stop.wait(LOOK_S):
            try:
                self.turn(time.monotonic(), stop)
            except Exception:  # the loop's top: the broker may do anything; what was not recorded is tried again
                log.exception("the registry's turn failed")
                stop.wait(self.rest_s)

    def turn(self, now_s: float, stop: threading.Event) -> None:
        """Mirror where something is new, or it is time to look at what people approved."""
        order = self.order()
        if order is None or not order.versions:
            return
        news = order != self._done
        if now_s < self._next_s and (self._failed or not news):
            return
        if not news and not order.approvals:
            return
        found = mirrored(order, stop)
        self._failed, self._next_s = found is None, now_s + self.rest_s
        for each in found or []:
            self._sign(each)
        if found is not None:
            self._done = order

    def _sign(self, given: RegistryApproval) -> None:
        """Record the approval; one of a version that is no such candidate waits, for it may become one."""
        result = passed(self.results(), given.alias).get(given.version)
        made = decision(given, result, now_ms()) if result is not None else None
        if made is not None and made.id not in self._recorded:
            self.record(made)
            self._recorded.add(made.id)


def mirrored(
    order: MirrorOrder, stop: threading.Event, patience_s: float = PATIENCE_S
) -> list[RegistryApproval] | None:
    """Mirror in a process of its own; return the approvals, None where it did not go well or was stopped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "retrain.registry"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ends = time.monotonic() + patience_s
    given: bytes | None = msgspec.json.encode(order)
    while True:
        try:
            out, errors = process.communicate(given, timeout=LOOK_S)
            break
        except subprocess.TimeoutExpired:
            given = None
            if stop.is_set() or time.monotonic() > ends:
                process.kill()
                process.communicate()
                log.warning("MLflow's model versions are not mirrored", why=f"no end within {patience_s:g} s")
                return None
    if process.returncode:
        why = errors.decode(errors="replace").strip()[-ERRORS:]
        log.warning("MLflow's model versions are not mirrored, will be tried again", why=why)
        return None
    return msgspec.json.decode(out, type=list[RegistryApproval])
