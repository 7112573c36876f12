"""Alarms that are open, and what an operator says of them."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load_reached

REASON = click.option("--reason", default="", help="Why, for the ledger.")
BY = "cli"


@click.group(cls=Ordered, short_help="Alarms that are open: list, show, clear, accept.")
def alarms() -> None:
    """Alarms that are open, and what you say of them.

    An alarm stays open while the harm goes on, and ends by itself once nothing has spoken for it for a while. Then, or
    once you clear it, its detector starts from nothing, and a second harm raises a second alarm."""


@alarms.command(name="list", short_help="Those that are open, with their version and since when.")
@click.option("--alias", help="Only this one's.")
@CONFIG
def alarms_list(alias: str | None, config_path: Path | None) -> None:
    """Those that are open, the oldest first: id, alias, version, kind, since when."""
    from deploy.operator import alarms

    found = alarms.still_open(load_reached(config_path).kafka, alias)
    for alarm in found:
        click.echo(alarms.line(alarm))
    click.echo(f"{len(found)} open", err=True)


@alarms.command(name="show", short_help="The alarm ID with its evidence.")
@click.argument("id")
@CONFIG
def alarms_show(id: str, config_path: Path | None) -> None:
    """The open alarm ID, as `list` prints it or how it begins, with its evidence and its report."""
    from deploy.operator import alarms

    kafka = load_reached(config_path).kafka
    click.echo(alarms.told(kafka, alarms.chosen(kafka, [id])[0]))


@alarms.command(name="clear", short_help="The alarms IDS are over; their detectors start from nothing.")
@click.argument("ids", nargs=-1, required=True)
@REASON
@CONFIG
def alarms_clear(ids: tuple[str, ...], reason: str, config_path: Path | None) -> None:
    """Say that the alarms IDS are over. Their detectors start from nothing: what goes on harming is alarmed anew.

    Exit 1 where no worker took it in time; it stands in the log, and is taken as soon as one runs."""
    from deploy.operator import alarms

    kafka = load_reached(config_path).kafka
    taken = [(alarm, alarms.clear(kafka, alarm, BY, reason)) for alarm in alarms.chosen(kafka, ids)]
    for alarm, done in taken:
        _told(f"{alarm.id} ({alarm.kind} of {alarm.version}): cleared", done)
    if not all(done for _, done in taken):
        raise SystemExit(1)


@alarms.command(name="accept", short_help="What ALIAS gets and gives now is normal: a new reference begins.")
@click.argument("alias")
@click.argument("version", required=False)
@REASON
@CONFIG
def alarms_accept(alias: str, version: str | None, reason: str, config_path: Path | None) -> None:
    """Say that what ALIAS gets and gives now is normal: its VERSION, or its champion, begins a new reference.

    Its open alarms are over, but those of errors and latency: these were promised to clients. Until the reference is
    complete the version is watched for nothing else. Exit 1 as `clear`."""
    from deploy.operator import alarms

    named, done = alarms.accept(load_reached(config_path).kafka, alias, version, BY, reason)
    _told(f"{named}: accepted, a new reference begins", done)
    if not done:
        raise SystemExit(1)


def _told(what: str, done: bool) -> None:
    if done:
        click.echo(what)
    else:
        click.echo(
            f"{what}, as soon as a worker takes it: none did yet; does one run? See `homeostat status`", err=True
        )
