"""Open alarms, their reports, and an operator's answers to them."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load_reached
from deploy.operator.actor import actor

REASON = click.option("--reason", default="", help="Why, for the ledger.")


@click.group(cls=Ordered, short_help="Open alarms: list, show, report, clear, accept.")
def alarms() -> None:
    """List, show, clear or accept open alarms, and fetch their reports.

    An alarm stays open while the harm goes on, and ends by itself after a while without evidence for it. Then, or
    once you clear it, its detector starts from nothing, and a second harm raises a second alarm."""


@alarms.command(name="list", short_help="Those that are open, with their version and since when.")
@click.option("--alias", help="Only this one's.")
@CONFIG
def alarms_list(alias: str | None, config_path: Path | None) -> None:
    """List the open alarms, the oldest first: id, alias, version, kind, since when."""
    from deploy.operator import alarms

    found = alarms.still_open(load_reached(config_path).kafka, alias)
    for alarm in found:
        click.echo(alarms.line(alarm))
    click.echo(f"{len(found)} open", err=True)


@alarms.command(name="show", short_help="The alarm ID with its evidence.")
@click.argument("id")
@CONFIG
def alarms_show(id: str, config_path: Path | None) -> None:
    """Show the open alarm ID, as `list` prints it or how it begins, with its evidence and its report."""
    from deploy.operator import alarms

    kafka = load_reached(config_path).kafka
    click.echo(alarms.describe(kafka, alarms.chosen(kafka, [id])[0]))


@alarms.command(name="report", short_help="The page of ALARM, fetched where it is in a bucket.")
@click.argument("alarm")
@click.option("--open", "opened", is_flag=True, help="Show it in the browser.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Copy it, and what belongs to it, here.")
@CONFIG
def alarms_report(alarm: str, opened: bool, out: Path | None, config_path: Path | None) -> None:
    """Print the file with the report of ALARM, open or over: its id, or how it begins.

    From a bucket it is fetched with the credentials in your environment, with Evidently's snapshot (`.json`) and the
    examples (`.examples.jsonl`) next to it."""
    from deploy.operator import reports

    config = load_reached(config_path)
    path = reports.bring(config.kafka, config.kept, alarm)
    if out is not None:
        path = reports.copied(path, out)
    click.echo(path)
    if opened and click.launch(path.as_uri()):
        raise RuntimeError(f"no browser could be started; the page is {path}")


@alarms.command(name="clear", short_help="The alarms IDS are over; their detectors start from nothing.")
@click.argument("ids", nargs=-1, required=True)
@REASON
@CONFIG
def alarms_clear(ids: tuple[str, ...], reason: str, config_path: Path | None) -> None:
    """Clear the alarms IDS. Their detectors start from nothing: harm that goes on raises a new alarm.

    Exit 1 where no worker took it in time; it is in the log, and is taken as soon as a worker runs."""
    from deploy.operator import alarms

    kafka = load_reached(config_path).kafka
    taken = [(alarm, alarms.clear(kafka, alarm, actor(), reason)) for alarm in alarms.chosen(kafka, ids)]
    for alarm, done in taken:
        _show_taken(f"{alarm.id} ({alarm.kind} of {alarm.version}): cleared", done)
    if not all(done for _, done in taken):
        raise SystemExit(1)


@alarms.command(name="accept", short_help="The present traffic of ALIAS is normal: a new reference begins.")
@click.argument("alias")
@click.argument("version", required=False)
@REASON
@CONFIG
def alarms_accept(alias: str, version: str | None, reason: str, config_path: Path | None) -> None:
    """Accept the present traffic of ALIAS as normal: its VERSION, or its champion, begins a new reference.

    Its open alarms end, except those of errors and latency: these were promised to clients. Until the reference is
    complete the version is watched for nothing else. Exit 1 as `clear`."""
    from deploy.operator import alarms

    named, done = alarms.accept(load_reached(config_path).kafka, alias, version, actor(), reason)
    _show_taken(f"{named}: accepted, a new reference begins", done)
    if not done:
        raise SystemExit(1)


def _show_taken(what: str, done: bool) -> None:
    if done:
        click.echo(what)
    else:
        click.echo(
            f"{what}, as soon as a worker takes it: none did yet; does one run? See `homeostat status`", err=True
        )
