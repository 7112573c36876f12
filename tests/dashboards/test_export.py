"""The exported files are what Grafana and Prometheus read."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from dashboards import alerts, fleet
from dashboards.export import DATASOURCE, TARGETS, export


def test_every_file_is_written_and_readable(tmp_path: Path) -> None:
    files = {path.relative_to(tmp_path).as_posix(): path for path in export(tmp_path)}
    assert json.loads(files["grafana/dashboards/homeostat.json"].read_text()) == fleet.dashboard()
    (group,) = yaml.safe_load(files["grafana/provisioning/alerting/homeostat.yaml"].read_text())["groups"]
    assert [rule["uid"] for rule in group["rules"]] == [rule.uid for rule in alerts.RULES]
    assert {rule["data"][0]["datasourceUid"] for rule in group["rules"]} == {DATASOURCE}
    (source,) = yaml.safe_load(files["grafana/provisioning/datasources/homeostat.yaml"].read_text())["datasources"]
    assert source["uid"] == DATASOURCE


def test_prometheus_scrapes_every_process_given(tmp_path: Path) -> None:
    export(tmp_path, {**TARGETS, "worker": "worker:9103"})
    scraped = yaml.safe_load((tmp_path / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    found = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    assert found["homeostat-worker"] == ["worker:9103"]
    assert len(found) == 4


def test_a_second_export_writes_the_same(tmp_path: Path) -> None:
    first = {path: path.read_text() for path in export(tmp_path)}
    assert {path: path.read_text() for path in export(tmp_path)} == first
