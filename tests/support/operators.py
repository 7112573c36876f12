"""The operators of clusters as they are released: their Go modules, in which the definitions of their kinds stand."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

PROMETHEUS = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
KEDA = "github.com/kedacore/keda/v2@v2.21.0"
KUEUE = "sigs.k8s.io/kueue@v0.17.0"
DEFINED = {  # of the kinds that the components use
    PROMETHEUS: (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    KEDA: tuple(f"config/crd/bases/keda.sh_{kind}.yaml" for kind in ("scaledobjects", "triggerauthentications")),
    KUEUE: ("config/components/crd/bases/kueue.x-k8s.io_localqueues.yaml",),
}


@cache
def source(module: str) -> Path:
    """The folder of a release. Go fetches it once, and asks its database of checksums."""
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(json.loads(done.stdout)["Dir"])


def definitions() -> list[Path]:
    """The files with the kinds."""
    return [source(module) / name for module, names in DEFINED.items() for name in names]
