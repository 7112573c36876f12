"""The template of retrainings fits the runner that makes Jobs of it, and Kueue's queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retrain.job_files import command
from retrain.runners import manifest
from tests.deploy.kubernetes.rendered import OVERLAYS, Json, Rendered, matches, rendered
from tests.retrain.test_job import spec

pytestmark = pytest.mark.system


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Rendered:
    return rendered(request.param)


def template(overlay: Rendered, folder: Path) -> Json:
    """The one that the trainer's settings name."""
    found: Json = overlay.one("CronJob", overlay.config("trainer", folder).retrain.kubernetes.template)["spec"]
    return found


def without(found: Any, *names: str) -> Any:
    if isinstance(found, dict):
        return {key: without(value, *names) for key, value in found.items() if key not in names}
    return [without(each, *names) for each in found] if isinstance(found, list) else found


def test_the_template_never_runs_by_itself(overlay: Rendered, tmp_path: Path) -> None:
    assert template(overlay, tmp_path)["suspend"] is True


def test_it_says_what_the_runner_would_say_where_it_says_nothing(overlay: Rendered, tmp_path: Path) -> None:
    said = template(overlay, tmp_path)["jobTemplate"]["spec"]
    assert {name: said[name] for name in manifest.DEFAULTS} == manifest.DEFAULTS
    rules = without(said["podFailurePolicy"]["rules"], "containerName", "status")
    assert rules == manifest.FAILURES


def test_a_job_is_its_template_with_the_description(overlay: Rendered, tmp_path: Path) -> None:
    settings = overlay.config("trainer", tmp_path).retrain.kubernetes
    given = template(overlay, tmp_path)["jobTemplate"]
    made = manifest.job(spec(tmp_path, tmp_path, "0" * 64), given, "trainer/one", settings)
    pod, (own,) = made["spec"]["template"], made["spec"]["template"]["spec"]["containers"]
    assert made["metadata"]["labels"] == given["metadata"]["labels"]
    assert own["command"] == command(f"{settings.var}/jobs/r1", python="python")
    assert own["command"][:-1] == overlay.pod("retraining").own["command"][:-1]
    assert settings.var in {each["mountPath"] for each in own["volumeMounts"]}
    assert own["resources"] == overlay.pod("retraining").own["resources"], "nothing that the settings leave open"
    policies = [each["spec"]["podSelector"] for each in overlay.of("NetworkPolicy")]
    assert sum(matches(each, pod["metadata"]["labels"]) for each in policies) > 3


@pytest.mark.parametrize("name", ["eks", "gke"])
def test_a_job_waits_in_the_queue_that_there_is(name: str, tmp_path: Path) -> None:
    overlay = rendered(name)
    given = template(overlay, tmp_path)["jobTemplate"]
    (queue,) = overlay.of("LocalQueue")
    assert given["metadata"]["labels"][manifest.QUEUE] == queue["metadata"]["name"]
    assert manifest.queued(given)


def test_without_kueue_no_job_waits_for_one(tmp_path: Path) -> None:
    assert not manifest.queued(template(rendered("minimal"), tmp_path)["jobTemplate"])
