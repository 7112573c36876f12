"""Jobs as Jobs of a Kubernetes cluster. They go on while no trainer looks, and leave their outcome in the store.

A Job's name comes from its request: a trainer that starts it a second time finds it there and takes it over. The
annotation `manifest.HOLDER` changes by compare-and-set, so that a trainer that lost its lease never stops another one's
job. A stopped Job is suspended, one that waits in a queue is deleted: there the queue owns `suspend`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog
from httpx2 import TransportError
from lightkube import ApiError, Client
from lightkube.models.meta_v1 import Status
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.types import CascadeType, PatchType

from retrain.job_files import JobSpec
from retrain.runners import manifest
from retrain.runners.interface import JobState
from retrain.runners.manifest import Json
from retrain.runners.settings import KubernetesSettings

log = structlog.get_logger()

PATIENCE_S = 60.0  # for an API server that is away, and for a pod to end
LOOK_S = 0.5
UNHELD = ""
MISSING, TAKEN, BUSY = 404, 409, 500
T = TypeVar("T")


class KubernetesRunner:
    """Jobs of one namespace, for the trainer `me`."""

    def __init__(
        self, settings: KubernetesSettings, me: str, client: Client | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._settings, self._me, self._patience_s = settings, me, patience_s
        self._api = client or Client(namespace=settings.namespace or None)

    @property
    def elsewhere(self) -> bool:
        """See `Runner`."""
        return True

    def start(self, spec: JobSpec) -> None:
        """See `Runner`. A Job that is there already is taken over, ended or not."""
        template = self._asked(lambda: self._api.get(CronJob, self._settings.template), "the jobs' template").to_dict()
        made = manifest.job(spec, template["spec"]["jobTemplate"], self._me, self._settings)
        for _ in self._tries(f"Job {made['metadata']['name']} to be free"):
            try:
                self._asked(lambda: self._api.create(Job.from_dict(made)), "the Job")
            except FileExistsError:
                if self._hold(spec.request.id, self._me, suspend=False):
                    return
            else:
                return

    def refusal(self) -> str:
        """Return why no Job would be taken; empty where one would. It is asked for and not made."""
        try:
            template = self._api.get(CronJob, self._settings.template).to_dict()
            self._api.create(Job.from_dict(manifest.trial(template["spec"]["jobTemplate"])), dry_run=True)
        except (ApiError, TransportError) as error:
            return str(error)
        return ""

    def poll(self, job: str) -> JobState:
        """See `Runner`. While the API server is away a job runs."""
        try:
            found = self._found(job)
        except (ApiError, TransportError) as error:
            log.warning("a job cannot be looked at", request=job, why=str(error))
            return JobState(running=True)
        if found is None:
            return JobState(running=False, why=f"Job {manifest.job_name(job)} is not there: never started, or deleted")
        if (state := manifest.ended(found)) is not None:
            return state
        stopped = manifest.holder(found) == UNHELD
        return JobState(running=not stopped, why="it was stopped" if stopped else "")

    def stop(self, job: str) -> None:
        """See `Runner`. Another trainer's job goes on; so does one that the API server does not let stop, which is a
        warning: what it finds counts all the same, and its deadline ends it."""
        try:
            if self._hold(job, UNHELD, suspend=True):
                self._await_end(job)
        except (OSError, RuntimeError) as error:
            log.warning("a job could not be stopped", request=job, why=str(error))

    def forget(self, job: str) -> None:
        """See `Runner`. One that has ended stays until its time, for its log."""
        try:
            found = self._found(job)
            if found is not None and manifest.ended(found) is None and manifest.holder(found) in (self._me, UNHELD):
                self._delete(job)
        except (ApiError, TransportError) as error:
            log.warning("a job stays behind", request=job, why=str(error))

    def _await_end(self, job: str) -> None:
        for _ in self._tries(f"the pods of Job {manifest.job_name(job)} to end"):
            found = self._asked(lambda: self._found(job), "the Job")
            if found is None or manifest.ended(found) is not None or manifest.still(found):
                return

    def _hold(self, job: str, holder: str, *, suspend: bool) -> bool:
        """Make this the holder of a Job that has not ended; return False where there is none to hold: gone, going, or,
        to be stopped, another's or ended. One that has ended needs no holder to be read."""
        for _ in self._tries(f"Job {manifest.job_name(job)} to be still"):
            found = self._asked(lambda: self._found(job), "the Job")
            if found is None or found["metadata"].get("deletionTimestamp"):
                break
            if manifest.ended(found) is not None:
                return not suspend
            if suspend and manifest.holder(found) != self._me:
                break
            if self._changed(job, found, holder, suspend=suspend):
                return True
        return False

    def _changed(self, job: str, found: Json, holder: str, *, suspend: bool) -> bool:
        """Write the holder, unless the Job has changed since it was read."""
        own, queued = found["metadata"], manifest.queued(found)
        metadata = {"resourceVersion": own["resourceVersion"], "annotations": {manifest.HOLDER: holder}}
        patch: Json = {"metadata": metadata} | ({} if queued else {"spec": {"suspend": suspend}})
        name = manifest.job_name(job)
        try:
            self._asked(lambda: self._api.patch(Job, name, patch, patch_type=PatchType.MERGE), "the Job")
        except FileExistsError:
            return False
        if queued and suspend:
            self._asked(lambda: self._delete(job), "the Job")
        return True

    def _found(self, job: str) -> Json | None:
        try:
            return dict(self._api.get(Job, manifest.job_name(job)).to_dict())
        except ApiError as error:
            if error.status.code == MISSING:
                return None
            raise

    def _delete(self, job: str) -> None:
        try:
            self._api.delete(Job, manifest.job_name(job), cascade=CascadeType.FOREGROUND)
        except ApiError as error:
            if error.status.code != MISSING:
                raise

    def _asked(self, ask: Callable[[], T], what: str) -> T:
        """Ask again while the API server is away. Raise FileExistsError for a conflict, RuntimeError for a refusal,
        ConnectionError where the server stays away."""
        for _ in self._tries("the API server"):
            try:
                return ask()
            except TransportError as error:
                log.warning("the API server is away", why=str(error))
            except ApiError as error:
                self._refused(error.status, what)
        raise AssertionError("tries end with an error")

    def _refused(self, status: Status, what: str) -> None:
        if status.code == TAKEN:
            raise FileExistsError(status.message)
        if (status.code or BUSY) < BUSY:
            raise RuntimeError(f"the API server refuses {what} in namespace {self._api.namespace}: {status.message}")
        log.warning("the API server cannot answer", why=status.message)

    def _tries(self, what: str) -> Iterator[None]:
        """Yield again and again. Raise ConnectionError after the patience's end."""
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            yield
            time.sleep(LOOK_S)
        raise ConnectionError(f"waited {self._patience_s:g} s for {what}, in vain")
