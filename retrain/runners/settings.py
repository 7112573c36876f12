"""The operator's settings of jobs in a Kubernetes cluster; checked once, when made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from monitor.validation import require

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """Where a job's image, service account, queue, volumes and GPUs stand, where `retrain.runner` is "kubernetes"."""

    namespace: str = ""  # of the Jobs; empty: the trainer's own
    # a suspended CronJob of that namespace, of which each job is a copy: image, service account, queue (Kueue's label),
    # volumes, resources and nodes stand there; its first container is the job's
    template: str = "homeostat-retraining"
    var: str = "/var/lib/homeostat"  # folder of the job's pod, a volume, for what it fetches and may lose

    def __post_init__(self) -> None:
        for name in ("namespace", "template"):
            value = getattr(self, name)
            fits = LABEL.fullmatch(value) is not None or (name == "namespace" and not value)
            require(self, name, fits, "a name as Kubernetes has it: small letters, digits and hyphens")
        require(self, "var", PurePosixPath(self.var).is_absolute(), "an absolute path")
