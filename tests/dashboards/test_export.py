"""The exported files are what Grafana and Prometheus read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dashboards import fleet, pages
from dashboards.export import DATASOURCE, TARGETS, export
from dashboards.rules.table import RULES
from deploy.cli import main


@pytest.mark.slow
def test_every_file_is_written_and_readable(tmp_path: Path) -> None:
    files = {path.relative_to(tmp_path).as_posix(): path for path in export(tmp_path)}
    assert json.loads(files["grafana/dashboards/homeostat.json"].read_text()) == fleet.dashboard()
    (group,) = yaml.safe_load(files["grafana/provisioning/alerting/homeostat.yaml"].read_text())["groups"]
    assert [rule["uid"] for rule in group["rules"]] == [rule.uid for rule in RULES]
    assert {rule["data"][0]["datasourceUid"] for rule in group["rules"]} == {DATASOURCE}
    (source,) = yaml.safe_load(files["grafana/provisioning/datasources/homeostat.yaml"].read_text())["datasources"]
    assert (source["uid"], source["name"], source["isDefault"]) == (DATASOURCE, DATASOURCE, False)


def test_a_grafana_that_has_a_prometheus_keeps_it(tmp_path: Path) -> None:
    export(tmp_path)
    sources = yaml.safe_load((tmp_path / "grafana/provisioning/datasources/homeostat.yaml").read_text())["datasources"]
    assert not any(source["isDefault"] or source["name"] == "Prometheus" for source in sources)


def test_rules_link_to_runbooks_of_the_grafana_that_people_use(tmp_path: Path) -> None:
    export(tmp_path, grafana_url="https://ops.example.com/grafana/")
    (group,) = yaml.safe_load((tmp_path / "prometheus/homeostat.rules.yml").read_text())["groups"]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in group["rules"]}
    assert links["homeostat-harm"] == f"https://ops.example.com/grafana/d/{pages.UID}?viewPanel=1"
    shown = json.loads((tmp_path / "grafana/dashboards/homeostat-runbooks.json").read_text())["panels"]
    assert [panel["id"] for panel in shown] == [int(link.rsplit("=")[-1]) for link in links.values()]


def test_prometheus_scrapes_every_process_given(tmp_path: Path) -> None:
    export(tmp_path, {**TARGETS, "worker": ["worker:9103"]})
    scraped = yaml.safe_load((tmp_path / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    found = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    assert found["homeostat-worker"] == ["worker:9103"]
    assert len(found) == 5


@pytest.mark.slow
def test_prometheus_scrapes_the_stack_as_it_is_configured(tmp_path: Path) -> None:
    """A gateway that is not scraped may end without a page."""
    config = tmp_path / "homeostat.toml"
    config.write_text(
        "[stack]\ngateway_admin_port = 9201\nmore_gateway_admin_ports = [9211, 9221]\nworker_metrics_port = 9203\n"
    )
    for words, expected in (
        ([], {name: list(at) for name, at in TARGETS.items()}),
        (
            ["--config", str(config)],
            {
                "gateway": ["127.0.0.1:9201", "127.0.0.1:9211", "127.0.0.1:9221"],
                "controller": ["127.0.0.1:9102"],
                "worker": ["127.0.0.1:9203"],
                "trainer": ["127.0.0.1:9104"],
                "storage": ["127.0.0.1:9105"],
            },
        ),
    ):
        done = CliRunner().invoke(main, ["dashboards", "export", str(tmp_path / "out"), *words])
        assert done.exit_code == 0, done.output
        scraped = yaml.safe_load((tmp_path / "out/prometheus/prometheus.yml").read_text())["scrape_configs"]
        found = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
        assert found == {f"homeostat-{name}": at for name, at in expected.items()}


@pytest.mark.slow
def test_a_second_export_writes_the_same(tmp_path: Path) -> None:
    first = {path: path.read_text() for path in export(tmp_path)}
    assert {path: path.read_text() for path in export(tmp_path)} == first
