"""The documents that are made from the code, each with the function that makes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dashboards.export import cluster_dashboards, operator_rules
from tests.docs import configuration, events, job, masking, metrics

FOLDER = Path(__file__).parents[2] / "docs"
MONITORING = FOLDER.parent / "deploy" / "kubernetes" / "components" / "monitoring"
CLUSTERS_GRAFANA = "http://grafana.monitoring.svc"
COMMAND = "python -m tests.docs"
DOCUMENTS: dict[Path, Callable[[], str]] = {
    FOLDER / "configuration.md": configuration.document,
    FOLDER / "events.md": events.document,
    FOLDER / "job.schema.json": job.document,
    FOLDER / "masking.md": masking.document,
    FOLDER / "metrics.md": metrics.document,
    MONITORING / "rules.yaml": partial(operator_rules, CLUSTERS_GRAFANA),
    MONITORING / "dashboards.yaml": cluster_dashboards,
}
