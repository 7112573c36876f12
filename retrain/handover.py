"""A job's handover: what a trainer on another machine needs to go on where this one was killed.

In `stack.var` the job's folder is that already. With a store elsewhere, what the steps leave, the training's last
checkpoint and the outcome are kept there, too; the checkpoint until there is an outcome. While a step works that is a
convenience: where the store is away, the job goes on without, and a warning says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from retrain.job_files import CANDIDATE, DATASET, FINDINGS, GATE, JOBS, OUTCOME, RUN, TRAINING, JobSpec
from streams.files import Stamp, put, stamp
from streams.objects import store as objects
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore

log = structlog.get_logger()

CHECKPOINT = f"{TRAINING}/checkpoint.safetensors"
FILES = (DATASET, RUN, CHECKPOINT, CANDIDATE, FINDINGS, GATE, OUTCOME)
PATIENCE_S = 5.0  # with a bucket: a training waits
REST_S = 60.0  # after trouble


@dataclass(slots=True)
class Handover:
    """The handover of the job in `folder`; without a `store` there is none."""

    store: ObjectStore | None
    folder: Path
    _given: dict[str, Stamp | None] = field(default_factory=dict)  # as they were put or taken last
    _later_s: float = 0.0  # not before; on the monotonic clock

    @classmethod
    def of(cls, spec: JobSpec, folder: Path) -> Handover:
        """Return the job's handover."""
        store = Storage(spec.storage, spec.var).trees(PATIENCE_S).store
        return cls(None if store.folder == spec.var else store, folder)

    def take(self, names: Sequence[str] = FILES) -> None:
        """Bring what an earlier machine left, where this one has nothing."""
        for name in names:
            if self.store is None or (self.folder / name).exists():
                continue
            try:
                put(self.folder / name, self.store.get(self._key(name)).data)
                self._given[name] = stamp(self.folder / name)
                log.info("taken over from another machine", file=name)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.warning("nothing can be taken over", file=name, why=str(error))
                return

    def give(self, now_s: float) -> None:
        """Put what has changed since; after trouble, not before REST_S."""
        if self.store is None or now_s < self._later_s:
            return
        try:
            for name in FILES:
                now = stamp(self.folder / name)
                if now is not None and now != self._given.get(name):
                    objects.replace(self.store, self._key(name), (self.folder / name).read_bytes())
                    self._given[name] = now
        except (OSError, ValueError) as error:
            self._later_s = now_s + REST_S
            log.warning("no other machine could go on from here", why=str(error))

    def end(self, *, concluded: bool = True) -> None:
        """Put what the step has left; with the outcome, delete the checkpoint, which is needed no more."""
        self.give(math.inf)
        try:
            if self.store is not None and concluded:
                self.store.delete(self._key(CHECKPOINT))
        except (OSError, ValueError) as error:
            log.warning("a checkpoint stays behind", key=self._key(CHECKPOINT), why=str(error))

    def _key(self, name: str) -> str:
        return f"{JOBS}/{self.folder.name}/{name}"
