"""Grafana dashboards and alert rules as code."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import Ordered


@click.group(cls=Ordered)
def dashboards() -> None:
    """Grafana dashboards and alert rules as code."""


@dashboards.command(short_help="Write dashboards, alert rules, Prometheus settings to FOLDER.")
@click.argument("folder", type=click.Path(path_type=Path))
def export(folder: Path) -> None:
    """Write dashboards, alert rules and a Prometheus configuration to FOLDER."""
    from dashboards.export import export as write

    for path in write(folder):
        click.echo(str(path))


@dashboards.command(short_help="Put dashboard and alert rules into Grafana.")
@click.option("--url", required=True, envvar="GRAFANA_URL", help="Grafana's address.")
@click.option("--token", required=True, envvar="GRAFANA_TOKEN", help="A service account's token.")
def push(url: str, token: str) -> None:
    """Put dashboard and alert rules into Grafana; doing it twice changes nothing."""
    from dashboards.push import push as send

    for line in send(url, token):
        click.echo(line)
