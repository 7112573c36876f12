"""Grafana dashboards and alert rules as code."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load


@click.group(cls=Ordered)
def dashboards() -> None:
    """Export Grafana dashboards and alert rules."""


@dashboards.command(short_help="Write dashboards, alert rules, Prometheus settings to FOLDER.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--grafana", default=None, envvar="GRAFANA_URL", help="Where people open the runbooks that pages link to."
)
@CONFIG
def export(folder: Path, grafana: str | None, config_path: Path | None) -> None:
    """Write dashboards, runbooks, alert rules (Grafana's and Prometheus') and a Prometheus configuration to FOLDER.

    Prometheus asks every process of the stack, at the ports that it is configured with."""
    from dashboards.export import GRAFANA
    from dashboards.export import export as write

    for path in write(folder, load(config_path).stack.metrics_addresses(), grafana_url=grafana or GRAFANA):
        click.echo(str(path))


@dashboards.command(short_help="Put dashboards, runbooks and alert rules into Grafana.")
@click.option("--url", required=True, envvar="GRAFANA_URL", help="Grafana's address.")
@click.option("--token", required=True, envvar="GRAFANA_TOKEN", help="A service account's token.")
@click.option("--datasource", help="Uid of the Prometheus to read from. Default: Grafana's default, else the only one.")
@click.option("--folder", default="homeostat", show_default=True, help="Uid of the folder; made where it is missing.")
def push(url: str, token: str, datasource: str | None, folder: str) -> None:
    """Put dashboards, runbooks and alert rules into Grafana; doing it twice changes nothing.

    The token needs role Editor and --datasource (Grafana 11 or newer), or role Admin."""
    from dashboards.push import push as send

    for line in send(url, token, datasource=datasource, folder=folder):
        click.echo(line)
