"""One evaluation at a time on an engine: a lease in the store of objects, by its conditional puts.

No clock is compared with another machine's. A holder puts a new beat every third of the lease; one that waits takes the
lease over where it has seen no new beat for the whole of it, by its own clock. A holder whose beat is refused, or who
could put none for so long, has lost the lease and must ask no more."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import structlog

from monitor.canonical import UNREADABLE
from streams.objects.store import ObjectStore, Stored

log = structlog.get_logger()

LEASES = "leases/evaluation"  # the prefix of their keys
LOOK_S = 0.5


class LeaseLost(RuntimeError):
    """Another evaluation has the engine by now."""


class LeaseBeat(msgspec.Struct, frozen=True):
    """What stands in the store. `by` is empty where the engine is free."""

    by: str = ""  # the evaluation
    mark: str = ""  # of the process, which no other has
    beat: int = 0


@dataclass(slots=True)
class EvaluationLease:
    """The lease on an engine for the evaluation `by`. A job that is started again takes its own lease over at once."""

    store: ObjectStore
    engine: str
    by: str
    lease_s: float
    clock: Callable[[], float] = time.monotonic
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _seen: tuple[str, float] = ("", 0.0)  # another's beat, and since when it stands
    _held: str = ""  # the mark of our beat in the store
    _beat: int = 0
    _beaten_s: float = 0.0

    @property
    def key(self) -> str:
        """The lease's key in the store."""
        return f"{LEASES}/{hashlib.sha256(self.engine.encode()).hexdigest()[:16]}"

    def take(self) -> bool:
        """Take the lease where it is free, its holder silent, or ours; return whether we have it."""
        try:
            found: Stored | None = self.store.get(self.key)
        except FileNotFoundError:
            found = None
        if found is not None and not self._free(found):
            return False
        return self._put(found.etag if found else "")

    def renew(self) -> bool:
        """Put a beat; return whether we still have the lease. Raise as the store."""
        return bool(self._held) and self._put(self._held)

    def check(self) -> None:
        """Raise LeaseLost where we do not have it, or could not say so for as long as it lasts."""
        if not self._held or self.clock() - self._beaten_s > self.lease_s:
            raise LeaseLost(f"the evaluation {self.by} has lost its lease on {self.engine}; it is done again")

    def release(self) -> None:
        """Free the engine for the next evaluation."""
        held, self._held = self._held, ""
        if held:
            self.store.put_if_match(self.key, msgspec.json.encode(LeaseBeat(mark=self._mark)), held)

    def _free(self, found: Stored) -> bool:
        try:
            beat = msgspec.json.decode(found.data, type=LeaseBeat)
        except UNREADABLE:
            beat = LeaseBeat("unreadable")
        if beat.by in ("", self.by):
            return True
        if self._seen[0] != found.etag:
            self._seen = found.etag, self.clock()
        return self.clock() - self._seen[1] > self.lease_s

    def _put(self, etag: str) -> bool:
        self._beat += 1
        content, now = msgspec.json.encode(LeaseBeat(self.by, self._mark, self._beat)), self.clock()
        put = self.store.put_if_match(self.key, content, etag) if etag else self.store.put_if_absent(self.key, content)
        found = self.store.get(self.key) if put else None
        self._held = found.etag if found is not None and found.data == content else ""
        self._beaten_s = now
        return bool(self._held)


@contextmanager
def held(lease: EvaluationLease, pause: Callable[[float], None] = time.sleep) -> Iterator[EvaluationLease]:
    """Wait for the lease, then hold it: a thread renews it meanwhile. Raise as the store does at the beginning."""
    waited = False
    while not lease.take():
        if not waited:
            log.info("another evaluation has the engine; this one waits", engine=lease.engine, evaluation=lease.by)
        waited = True
        pause(LOOK_S)
    stop = threading.Event()
    renewal = threading.Thread(target=_renewed, args=(lease, stop), daemon=True, name="evaluation lease")
    renewal.start()
    try:
        yield lease
    finally:
        stop.set()
        renewal.join()
        _let_go(lease)


def _renewed(lease: EvaluationLease, stop: threading.Event) -> None:
    while not stop.wait(lease.lease_s / 3):
        try:
            if not lease.renew():
                return
        except OSError as error:  # the store may come back before the lease ends
            log.warning("the lease on the engine was not renewed", engine=lease.engine, why=str(error))


def _let_go(lease: EvaluationLease) -> None:
    try:
        lease.release()
    except OSError as error:
        log.warning("the lease on the engine ends by itself", engine=lease.engine, why=str(error))
