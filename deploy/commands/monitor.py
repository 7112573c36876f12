"""How often monitoring may be wrong, and what it finds."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, console, load


@click.group(cls=Ordered)
def monitor() -> None:
    """How often it may be wrong, and what it finds."""


@monitor.command(short_help="Share one false-alarm budget over all detectors.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Between false pages. Default: what is set now.")
@click.option("--events", type=click.FloatRange(0), required=True, help="Replies a day, of one alias.")
@click.option("--labels", type=click.FloatRange(0), default=0, show_default=True, help="Labels a day, of one alias.")
@click.option("--aliases", type=click.IntRange(1), default=1, show_default=True, help="That share the budget.")
@click.option("--tags", type=click.IntRange(0), default=0, show_default=True, help="Tags that clients name: groups.")
@click.option(
    "--autocorrelation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Of neighbouring events: what dependence costs in what is found.",
)
@click.option(
    "--waves",
    type=click.IntRange(0, 13),
    default=0,
    show_default=True,
    help="Of day and week that the reference shows: what a rhythm costs. What follows it of categories and texts is "
    "not watched.",
)
@CONFIG
def plan(
    days: float | None,
    events: float,
    labels: float,
    aliases: int,
    tags: int,
    autocorrelation: float,
    waves: int,
    config_path: Path | None,
) -> None:
    """Share one false-alarm budget over all detectors, and show what each still finds within an hour.

    The budget holds however aliases, segments and descriptors depend on each other."""
    from deploy.operator import budget as plans
    from monitor.budget import AliasTraffic

    settings = load(config_path).monitor
    traffic = AliasTraffic(events=events, labels=labels, aliases=aliases, tags=tags)
    dependence = plans.Dependence(autocorrelation, waves)
    made = plans.asked(settings, traffic, days, dependence) if days else plans.present(settings, traffic, dependence)
    console().print(plans.table(made))
    over = "the alias" if aliases == 1 else f"all {aliases} aliases"
    click.echo(f"\nAt least {plans.told(made.days)} pass between false pages, on average, of {over} together.")
    if days:
        click.echo(f"\nIn homeostat.toml:\n\n{plans.settings_for(made)}")
