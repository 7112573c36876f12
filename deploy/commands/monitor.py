"""The monitor's budget of false alarms."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, console, load


@click.group(cls=Ordered)
def monitor() -> None:
    """Plan how often the monitor may be wrong."""


@monitor.command(short_help="Divide one false-alarm budget over all detectors.")
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), help="Between false pages. Default: the present settings."
)
@click.option("--events", type=click.FloatRange(0), required=True, help="Replies a day, of one alias.")
@click.option(
    "--labels",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="Labels, thumbs and scores of fair sources a day, of one alias.",
)
@click.option(
    "--judged", type=click.FloatRange(0), default=0, help="Replies a day that a judge model scores, likewise."
)
@click.option("--aliases", type=click.IntRange(1), default=1, show_default=True, help="That share the budget.")
@click.option("--tags", type=click.IntRange(0), default=0, show_default=True, help="Tags that clients name: groups.")
@click.option(
    "--autocorrelation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Of neighbouring events: dependence makes harm harder to find.",
)
@click.option(
    "--waves",
    type=click.IntRange(0, 13),
    default=0,
    show_default=True,
    help="Of day and week that the reference shows: a rhythm makes harm harder to find. Categories and texts that "
    "follow it are not watched.",
)
@click.option("--sessions", type=click.FloatRange(0), default=0, show_default=True, help="Conversations a day.")
@click.option(
    "--complaints",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.02,
    show_default=True,
    help="Share of the conversations with a complaint. With --sessions: how long a trial on complaints takes.",
)
@click.option(
    "--complained",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of the replies that is complained of: how many it takes to find that clients complain more.",
)
@CONFIG
def plan(
    days: float | None,
    events: float,
    labels: float,
    judged: float,
    aliases: int,
    tags: int,
    autocorrelation: float,
    waves: int,
    sessions: float,
    complaints: float,
    complained: float,
    config_path: Path | None,
) -> None:
    """Divide one false-alarm budget over all detectors, and show the harm that each still finds within an hour.

    The budget holds however aliases, segments and descriptors depend on each other."""
    from deploy.operator import budget
    from deploy.operator import complaints as complaint_plans
    from deploy.show.times import duration
    from monitor.budget import AliasTraffic

    config = load(config_path)
    settings = config.monitor
    traffic = AliasTraffic(events=events, labels=labels, judged=judged, aliases=aliases, tags=tags)
    dependence = budget.Dependence(autocorrelation, waves)
    made = budget.plan(settings, traffic, days, dependence) if days else budget.present(settings, traffic, dependence)
    console().print(budget.table(made))
    over = "the alias" if aliases == 1 else f"all {aliases} aliases"
    click.echo(f"\nAt least {duration(made.days * 86_400)} pass between false pages, on average, of {over} together.")
    if events:
        click.echo(f"\n{complaint_plans.plan(settings, events, complained)}")
    if sessions:
        click.echo(
            f"\n{complaint_plans.trial(config.policy.trial, config.controller.canary_weight, sessions, complaints)}"
        )
    if days:
        click.echo(f"\nIn homeostat.toml:\n\n{budget.settings_for(made)}")
