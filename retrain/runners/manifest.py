"""A job as a Kubernetes Job, and what is read from one; pure: plain tables in, plain tables out.

A Job has its name by the request, so that every trainer gives it the same one. `HOLDER` names the trainer that it works
for; none, where that trainer stopped it."""

from __future__ import annotations

import hashlib
import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from retrain.job_files import GIVEN, JOBS, JobResources, JobSpec, command
from retrain.runners.interface import JobState
from retrain.runners.settings import KubernetesSettings

Json = dict[str, Any]
HOLDER, REQUEST, ALIAS = "homeostat/trainer", "homeostat/request", "homeostat/alias"  # annotations
QUEUE = "kueue.x-k8s.io/queue-name"  # with this label Kueue says when a Job begins, and owns `suspend`
LONGEST = 100_000  # bytes of a description: one variable of an environment holds 131,072
DEFAULTS: Json = {
    "backoffLimit": 3,  # a pod that is killed is followed by another, which goes on
    "podReplacementPolicy": "Failed",  # and only once it has ended: never two at once
    "ttlSecondsAfterFinished": 86_400,  # its log can be read for a day
}
FAILURES = [  # a node that is drained is no try; without a description there is nothing to try again
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}},
]


def job_name(request: str) -> str:
    """Return the Job's name.

    >>> job_name("r1")
    'retraining-82f3e9c695dc6b8d1b11'
    """
    return f"retraining-{hashlib.sha256(request.encode()).hexdigest()[:20]}"


def job(spec: JobSpec, template: Json, holder: str, settings: KubernetesSettings) -> Json:
    """Return the Job of a description by the `jobTemplate` of a CronJob. Raise ValueError where it cannot be made."""
    made = {"apiVersion": "batch/v1", "kind": "Job", **deepcopy(template)}
    metadata = made.setdefault("metadata", {})
    metadata["name"] = job_name(spec.request.id)
    about = {HOLDER: holder, REQUEST: spec.request.id, ALIAS: spec.request.alias}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **about}
    made["spec"] = {**DEFAULTS, **made["spec"], "activeDeadlineSeconds": math.ceil(spec.timeout_s)}
    made["spec"].setdefault("podFailurePolicy", {"rules": FAILURES})
    pod = made["spec"]["template"]["spec"]
    pod["restartPolicy"] = "Never"
    _fill(pod["containers"][0], spec, settings)
    return made


def trial(template: Json) -> Json:
    """Return a Job as a template makes it, without a description: to ask whether it would be taken."""
    metadata = {**(template.get("metadata") or {}), "name": "retraining-trial"}
    return {"apiVersion": "batch/v1", "kind": "Job", **deepcopy(template), "metadata": metadata}


def queued(found: Json) -> bool:
    """Check that a queue decides when the Job begins."""
    return QUEUE in (found["metadata"].get("labels") or {})


def holder(found: Json) -> str:
    """Return the trainer that the Job works for; empty where it was stopped."""
    return str((found["metadata"].get("annotations") or {}).get(HOLDER, ""))


def ended(found: Json) -> JobState | None:
    """Return how the Job has ended; None where it has not."""
    for each in found.get("status", {}).get("conditions") or []:
        if each["status"] == "True" and each["type"] == "Complete":
            return JobState(running=False)
        if each["status"] == "True" and each["type"] == "Failed":
            why = f"{each.get('reason', 'Failed')}: {each.get('message', '')}".strip(": ")
            return JobState(running=False, why=f"Job {found['metadata']['name']} has failed: {why}")
    return None


def still(found: Json) -> bool:
    """Check that no pod of a stopped Job runs, nor will: the Job controller has seen that there shall be none."""
    going = bool(found["metadata"].get("deletionTimestamp"))
    conditions = found.get("status", {}).get("conditions") or []
    seen = any(each["type"] == "Suspended" and each["status"] == "True" for each in conditions)
    return (going or seen) and not pods(found)


def pods(found: Json) -> int:
    """Return how many pods of the Job have not ended."""
    status = found.get("status", {})
    return int(status.get("active") or 0) + int(status.get("terminating") or 0)


def description(spec: JobSpec, settings: KubernetesSettings) -> str:
    """Return the description as the job's pod reads it. Kubernetes would take `$(NAME)` for a variable: no `$` is left.
    Raise ValueError where it is too long."""
    there = structs.replace(spec, var=Path(settings.var), storage=replace(spec.storage, cache=None), parent=0)
    text = msgspec.json.encode(there, enc_hook=str).decode().replace("$", "\\u0024")
    if (size := len(text.encode())) > LONGEST:
        raise ValueError(f"the job's description has {size} bytes, expected at most {LONGEST}")
    return text


def _fill(container: Json, spec: JobSpec, settings: KubernetesSettings) -> None:
    container["command"] = command(f"{settings.var}/{JOBS}/{spec.request.id}", python="python")
    container.pop("args", None)
    given: list[Json] = [{"name": GIVEN, "value": description(spec, settings)}]
    given += [{"name": name, "valueFrom": _secret(name, source)} for name, source in spec.secrets.items()]
    names = {each["name"] for each in given}
    container["env"] = [each for each in container.get("env") or [] if each["name"] not in names] + given
    _ask(container.setdefault("resources", {}), spec.resources)


def _secret(name: str, source: str) -> Json:
    kind, _, place = source.partition(":")
    secret, _, key = place.partition("/")
    if kind != "secret" or not secret or not key:
        raise ValueError(f"retrain.secrets.{name} is {source!r}, expected secret:NAME/KEY, a Secret of the namespace")
    return {"secretKeyRef": {"name": secret, "key": key}}


def _ask(resources: Json, wanted: JobResources) -> None:
    """Ask for what the description does; what it leaves open is as the template has it."""
    if wanted.gpus:
        resources["limits"] = {**(resources.get("limits") or {}), "nvidia.com/gpu": wanted.gpus}
    asked = {"cpu": wanted.cpus, "memory": f"{wanted.memory_gb:g}G" if wanted.memory_gb else 0}
    known = resources.get("requests") or {}
    resources["requests"] = known | {name: each for name, each in asked.items() if each}
