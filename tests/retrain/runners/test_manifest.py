"""A job as a Kubernetes Job: the same for every trainer, with what the template has, and no secret."""

from __future__ import annotations

import json
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from retrain.job_files import GIVEN, JobResources, JobSpec
from retrain.runners import manifest
from retrain.runners.interface import JobState
from retrain.runners.settings import KubernetesSettings
from streams.objects.settings import StorageSettings
from tests.retrain.support.cluster import template
from tests.retrain.test_job import spec

SETTINGS = KubernetesSettings(var="/pod")


def job(**changes: Any) -> manifest.Json:
    described = replace(spec(Path("/trainer"), Path("/model"), "0" * 64), **changes)
    return manifest.job(described, template(Path("/pod"))["spec"]["jobTemplate"], "trainer/one", SETTINGS)


def container(made: manifest.Json) -> manifest.Json:
    return dict(made["spec"]["template"]["spec"]["containers"][0])


def test_its_name_comes_from_the_request_alone() -> None:
    other = replace(spec(Path("/"), Path("/"), "0" * 64).request, id="r2")
    assert job(attempt=2)["metadata"]["name"] == job()["metadata"]["name"] != job(request=other)["metadata"]["name"]
    assert len(manifest.job_name("x" * 1_000)) <= 63


def test_it_has_what_the_template_has_and_the_runs_of_pods_that_no_node_ends() -> None:
    made = job(timeout_s=90.5)
    assert made["metadata"]["labels"] == {"kind": "retraining"}
    assert (made["spec"]["activeDeadlineSeconds"], made["spec"]["backoffLimit"]) == (91, 3)
    assert made["spec"]["podReplacementPolicy"] == "Failed", "else two pods train at once while one ends"
    assert made["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert container(made)["command"] == ["python", "-m", "retrain.job", "all", "/pod/jobs/r1"]


def test_the_pod_reads_the_description_with_paths_of_its_own() -> None:
    storage = StorageSettings(url="s3://bucket", cache=Path("/trainer/cache"))
    given = spec(Path("/trainer"), Path("/model"), "0" * 64)
    (variable,) = (each for each in container(job(storage=storage, parent=7))["env"] if each["name"] == GIVEN)
    read = msgspec.json.decode(variable["value"], type=JobSpec, dec_hook=lambda kind, value: kind(value))
    assert read == replace(given, var=Path("/pod"), storage=changed(storage, cache=None), parent=0)


def test_no_name_in_the_description_is_taken_for_a_variable() -> None:
    request = replace(spec(Path("/"), Path("/"), "0" * 64).request, reason="$(HOME) and $$")
    (variable,) = container(job(request=request))["env"]
    assert "$" not in variable["value"]
    assert json.loads(variable["value"])["request"]["reason"] == "$(HOME) and $$"


def test_a_description_that_no_process_can_be_given_is_refused() -> None:
    with pytest.raises(ValueError, match=r"description has \d+ bytes, expected at most 100000"):
        job(judge="x" * 100_000)


def test_a_secret_is_a_reference() -> None:
    variables = container(job(secrets={"HF_TOKEN": "secret:team/token"}))["env"]
    assert {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "team", "key": "token"}}} in variables
    for source in ("env:TOKEN", "secret:team", "secret:/token"):
        with pytest.raises(ValueError, match=r"retrain\.secrets\.HF_TOKEN is .*, expected secret:NAME/KEY"):
            job(secrets={"HF_TOKEN": source})


def test_resources_that_the_description_names_go_before_the_templates() -> None:
    assert container(job(resources=JobResources(cpus=4, memory_gb=24.5, gpus=2)))["resources"] == {
        "limits": {"nvidia.com/gpu": 2},
        "requests": {"cpu": 4, "memory": "24.5G"},
    }


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], None),
        ([{"type": "Suspended", "status": "True"}], None),
        ([{"type": "FailureTarget", "status": "True"}], None),
        (
            [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
            JobState(running=False),
        ),
        (
            [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}],
            JobState(running=False, why="Job j has failed: DeadlineExceeded: too long"),
        ),
    ],
)
def test_it_has_ended_once_its_conditions_say_so(conditions: list[manifest.Json], state: JobState | None) -> None:
    assert manifest.ended({"metadata": {"name": "j"}, "status": {"conditions": conditions}}) == state
    assert manifest.ended({"metadata": {"name": "j"}}) is None


def test_a_stopped_job_is_still_once_its_controller_has_seen_that_it_is() -> None:
    """Before, the controller may make a pod by what it knew."""
    seen = {"type": "Suspended", "status": "True"}
    for status, holds in (
        ({}, False),
        ({"active": 1}, False),
        ({"conditions": [{**seen, "status": "False"}]}, False),
        ({"conditions": [seen], "terminating": 1}, False),
        ({"conditions": [seen]}, True),
    ):
        assert manifest.still({"metadata": {}, "status": status}) is holds, status
    assert manifest.still({"metadata": {"deletionTimestamp": "2026-12-01T00:00:00Z"}})
