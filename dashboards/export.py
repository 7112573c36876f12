"""The same dashboard and rules as files, for a Grafana that is provisioned and a Prometheus that scrapes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from dashboards import alerts, fleet, pages, prometheus_rules
from dashboards.panels import Json
from dashboards.push import FOLDER_TITLE

DATASOURCE = "homeostat-prometheus"  # its name too: a Grafana may have a "Prometheus" and a default of its own
RULES_FILE = "homeostat.rules.yml"
DASHBOARDS = "/var/lib/grafana/dashboards/homeostat"  # where Grafana finds grafana/dashboards
Targets = Mapping[str, Sequence[str]]  # by kind of process: host:port of the metrics of each
TARGETS: Targets = {
    "gateway": ("127.0.0.1:9101",),
    "controller": ("127.0.0.1:9102",),
    "worker": ("127.0.0.1:9103",),
    "trainer": ("127.0.0.1:9104",),
    "storage": ("127.0.0.1:9105",),
}

GRAFANA = "http://127.0.0.1:3000"
LOOKED_FOR = "grafana_dashboard"  # the label by which the side-car of Grafana's Helm chart finds dashboards


def export(
    folder: Path,
    targets: Targets = TARGETS,
    prometheus_url: str = "http://127.0.0.1:9090",
    grafana_url: str = GRAFANA,
) -> list[Path]:
    """Write everything under `folder` and return the files. `targets`: who is scraped. `grafana_url`: where people
    open the runbooks that pages link to."""
    files: dict[str, str] = {
        "grafana/dashboards/homeostat.json": json.dumps(fleet.dashboard(), indent=2) + "\n",
        "grafana/dashboards/homeostat-runbooks.json": json.dumps(pages.dashboard(), indent=2) + "\n",
        "grafana/provisioning/dashboards/homeostat.yaml": _yaml(_provider()),
        "grafana/provisioning/datasources/homeostat.yaml": _yaml(_datasource(prometheus_url)),
        "grafana/provisioning/alerting/homeostat.yaml": _yaml(_rules(grafana_url)),
        "prometheus/prometheus.yml": _yaml(_scrape(targets)),
        f"prometheus/{RULES_FILE}": _yaml(prometheus_rules.groups(grafana_url)),
        "kubernetes/rules.yaml": operator_rules(grafana_url),
        "kubernetes/dashboards.yaml": cluster_dashboards(),
    }
    return [_write(folder / name, text) for name, text in files.items()]


def operator_rules(grafana_url: str = GRAFANA) -> str:
    """Return the alert rules as a file for the Prometheus operator."""
    return _yaml(prometheus_rules.resource(grafana_url))


def cluster_dashboards() -> str:
    """Return the dashboards as ConfigMaps, as a Grafana in a Kubernetes cluster finds them."""
    return "---\n".join(_yaml(_config_map(each)) for each in (fleet.dashboard(), pages.dashboard()))


def _config_map(dashboard: Json) -> Json:
    name = str(dashboard["uid"])
    labels = {"app.kubernetes.io/name": "homeostat", LOOKED_FOR: "1"}
    metadata = {"name": f"{name}-dashboard", "labels": labels, "annotations": {"grafana_folder": FOLDER_TITLE}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {f"{name}.json": _compact(dashboard)},
    }


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _provider() -> Json:
    provider = {
        "name": "homeostat",
        "folder": FOLDER_TITLE,
        "folderUid": alerts.FOLDER,
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": DASHBOARDS},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _datasource(url: str) -> Json:
    source = {
        "name": DATASOURCE,
        "uid": DATASOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "isDefault": False,
        "jsonData": {"timeInterval": "5s", "httpMethod": "POST"},
    }
    return {"apiVersion": 1, "datasources": [source]}


def _rules(grafana_url: str) -> Json:
    outside = {"folderUID", "ruleGroup", "orgID"}  # the group says these
    rules = [{k: v for k, v in rule.items() if k not in outside} for rule in alerts.group(DATASOURCE, grafana_url)]
    group = {"orgId": 1, "name": alerts.GROUP, "folder": FOLDER_TITLE, "interval": f"{alerts.EVERY_S}s", "rules": rules}
    return {"apiVersion": 1, "groups": [group]}


def _scrape(targets: Targets) -> Json:
    jobs = [{"job_name": f"homeostat-{name}", "static_configs": [{"targets": [*at]}]} for name, at in targets.items()]
    every = {"scrape_interval": "5s", "evaluation_interval": prometheus_rules.EVERY}
    return {"global": every, "rule_files": [RULES_FILE], "scrape_configs": jobs}


def _yaml(value: Json) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=1000, allow_unicode=True)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
