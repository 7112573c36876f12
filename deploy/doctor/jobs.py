"""The check of a trainer whose retrainings are Jobs of a cluster: would one be taken?"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.findings import Finding
from deploy.doctor.services import Examined

PLACE = "run it in the trainer's pod, whose account may start Jobs, or with a kubeconfig"
REFUSED = "deploy/kubernetes/base/trainer.yaml has the template, and accounts.yaml what the trainer may do"


def taken(config: Examined) -> Iterator[Finding]:
    """Check that the API server would take a Job of the template; none is made."""
    if config.retrain.runner != "kubernetes":
        return
    from lightkube.core.exceptions import ConfigError

    from retrain.runners.kubernetes import KubernetesRunner

    settings = config.retrain.kubernetes
    try:
        refusal = KubernetesRunner(settings, "doctor").refusal()
    except ConfigError as error:
        yield Finding("jobs", False, f"no API server is known here: {error}", PLACE)
        return
    detail = f"CronJob {settings.template}: {refusal}" if refusal else f"a Job of {settings.template} would be taken"
    yield Finding("jobs", not refusal, detail, REFUSED if refusal else "")
