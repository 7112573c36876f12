"""A whole retraining as a Job of a real API server, its pods and its trainer killed, against the local run.

    python -m tests.bench.anywhere --only jobs

The API server is the one that `make test-k8s` builds. It has no kubelet: what stands for one runs the Job's command as
a process of this machine with an empty volume. The model is the tests' small Llama, the bucket is moto's."""

from __future__ import annotations

import os
from pathlib import Path

from retrain.runners.settings import KubernetesSettings
from tests.bench.anywhere.goals import figure
from tests.bench.tools.figures import Figure
from tests.bench.tools.scratch import scratch
from tests.retrain.support.cluster import NAMESPACE, real
from tests.retrain.support.models import small
from tests.retrain.support.whole_job import Twice, twice
from tests.support import s3
from tests.support.api_server import missing, serving


def measured(_: bool) -> list[Figure]:
    """Both ways, once. Raise RuntimeError where there is no API server."""
    if why := missing():
        raise RuntimeError(why)
    os.environ.update(s3.KEYS)
    with scratch("jobs") as folder, s3.server() as bucket, serving(made(folder / "server")) as server:
        settings = KubernetesSettings(namespace=NAMESPACE, var=str(folder / "pod"))
        places = (bucket.storage("here"), bucket.storage("there"))
        return told(twice(real(server, settings), places, small(made(folder / "model")), folder))


def made(folder: Path) -> Path:
    """The folder, new."""
    folder.mkdir()
    return folder


def told(found: Twice) -> list[Figure]:
    """Whether they are the same, as 1 or 0."""
    verdict = found.here.verdict.status if found.here.verdict else found.here.problem
    resumed = found.there.metrics.get("resumed_at", 0.0)
    return [
        figure("retraining as a Job: verdict as the local run's", found.same_verdict(), "of 1", str(verdict)),
        figure("retraining as a Job: adapter as the local run's", found.same_adapter(), "of 1", "bit for bit"),
        figure(
            "retraining as a Job: pods",
            found.pods,
            "pods",
            f"killed while it prepared, trained (at step {resumed:g} again), evaluated",
        ),
    ]
