"""A stand-in for the Job controller and the kubelet: each Job's command is a process of this machine with an empty
volume, and its end is the Job's status. Suspended, deleted and overdue Jobs lose their process."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightkube import ApiError, Client
from lightkube.resources.batch_v1 import CronJob, Job, JobStatus
from lightkube.resources.core_v1 import Secret
from lightkube.types import PatchType

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
LOOK_S = 0.05
VOLUME = "var"


class Kubelet:
    """`code`: a line of Python that stands for every Job's command; none: the command itself."""

    def __init__(self, api: Client, code: str = "") -> None:
        self.api, self.code, self.starts = api, code, 0
        self.pods: dict[str, subprocess.Popen[bytes]] = {}
        self.logs: dict[str, bytes] = {}
        self._tries: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self.stop = threading.Event()
        # msgspec 0.22 crashes where two threads see a type for the first time
        for kind, spec in ((Job, None), (CronJob, {"schedule": "", "jobTemplate": {}}), (Secret, None)):
            kind.from_dict({"metadata": {"name": "none"}, **({"spec": spec} if spec else {})})

    def run(self) -> None:
        while not self.stop.wait(LOOK_S):
            try:
                for job in [each.to_dict() for each in self.api.list(Job)]:
                    self._reconcile(job)
            except ApiError as error:  # changed meanwhile: looked at again
                if error.status.code not in (404, 409):
                    raise
        for name in list(self.pods):
            self._end(name)

    def _reconcile(self, job: Json) -> None:
        name, spec = job["metadata"]["name"], job["spec"]
        if job["metadata"].get("deletionTimestamp"):
            self._end(name)
            self.api.patch(Job, name, {"metadata": {"finalizers": None}}, patch_type=PatchType.MERGE)
        elif any(each["type"] in ("Complete", "Failed") for each in job.get("status", {}).get("conditions") or []):
            return
        elif spec.get("suspend"):
            if name in self.pods or not job.get("status", {}).get("conditions"):
                self._end(name)
                condition = _condition("Suspended", "JobSuspended")
                self._status(name, {"active": 0, "startTime": None, "conditions": [condition]})
        elif name not in self.pods:
            self._start(name, spec, begun=bool(job.get("status", {}).get("startTime")))
        elif time.monotonic() - self._began[name] > spec["activeDeadlineSeconds"]:
            self._end(name)
            self._failed(name, "DeadlineExceeded", "Job was active longer than specified deadline")
        elif (status := self.pods[name].poll()) is not None:
            self._ended(name, spec, status)

    def _start(self, name: str, spec: Json, *, begun: bool) -> None:
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        var = next(Path(each["mountPath"]) for each in container["volumeMounts"] if each["name"] == VOLUME)
        shutil.rmtree(var, ignore_errors=True)  # an emptyDir
        var.mkdir(parents=True)
        command = [sys.executable, "-c", self.code] if self.code else [sys.executable, *container["command"][1:]]
        with (var / "log").open("wb") as log:
            environment = {**os.environ, **self._environment(container["env"])}
            self.pods[name] = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.starts += 1
        self._began.setdefault(name, time.monotonic())
        first = {} if begun else {"startTime": _now()}  # a second pod of a Job changes nothing about its beginning
        self._status(name, {"active": 1, "conditions": None, **first})

    def _environment(self, variables: list[Json]) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in variables:
            if "valueFrom" in each:
                reference = each["valueFrom"]["secretKeyRef"]
                data = self.api.get(Secret, reference["name"]).data or {}
                found[each["name"]] = base64.b64decode(data[reference["key"]]).decode()
            else:
                found[each["name"]] = expanded(each.get("value", ""), found)
        return found

    def _ended(self, name: str, spec: Json, status: int) -> None:
        self.pods.pop(name)
        tried = self._tries[name] = self._tries.get(name, 0) + 1
        if status == 0:
            met, complete = (
                _condition("SuccessCriteriaMet", "CompletionsReached"),
                _condition("Complete", "CompletionsReached"),
            )
            done = {"active": 0, "succeeded": 1, "completionTime": _now(), "conditions": [met, complete]}
            self._status(name, done)
        elif status == 2:
            self._failed(name, "PodFailurePolicy", "Container homeostat failed with exit code 2 matching FailJob rule")
        elif tried > spec["backoffLimit"]:
            self._failed(name, "BackoffLimitExceeded", "Job has reached the specified backoff limit")

    def _failed(self, name: str, reason: str, message: str) -> None:
        conditions = [_condition("FailureTarget", reason, message), _condition("Failed", reason, message)]
        self._status(name, {"active": 0, "failed": 1, "conditions": conditions})

    def _status(self, name: str, status: Json) -> None:
        self.api.patch(JobStatus, name, {"status": status}, patch_type=PatchType.MERGE)

    def _end(self, name: str) -> None:
        if (process := self.pods.pop(name, None)) is not None:
            process.terminate()
            process.wait()
        self._began.pop(name, None)


def expanded(text: str, known: dict[str, str]) -> str:
    """A value as Kubernetes expands it: $(NAME) of a variable before it, $$ for $."""
    return re.sub(r"\$(\$|\((\w+)\))", lambda found: "$" if found[1] == "$" else known.get(found[2], found[0]), text)


def _condition(kind: str, reason: str, message: str = "") -> Json:
    at = _now()
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": at,
        "lastTransitionTime": at,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def running(kubelet: Kubelet) -> Iterator[Kubelet]:
    """Run it on a thread while entered."""
    thread = threading.Thread(target=kubelet.run, daemon=True)
    thread.start()
    try:
        yield kubelet
    finally:
        kubelet.stop.set()
        thread.join()
