"""Events that could not be read."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load_reached


@click.group(name="dlq", cls=Ordered, short_help="Events that could not be read.")
def dlq() -> None:
    """List, show and put back events that could not be read."""


@dlq.command(name="list", short_help="Each with its place, its time, and why it could not be read.")
@click.option("--topic", "topics", multiple=True, help="Only of this topic; may be given several times.")
@CONFIG
def dlq_list(topics: tuple[str, ...], config_path: Path | None) -> None:
    """List the letters: place, time, and why the record could not be read."""
    from deploy.operator import dead_letters

    found = dead_letters.every(load_reached(config_path).kafka, topics)
    for letter in found:
        click.echo(dead_letters.line(letter))
    click.echo(f"{len(found)} dead letters", err=True)


@dlq.command(name="show", short_help="The letter of the record at PLACE, with its value.")
@click.argument("place")
@CONFIG
def dlq_show(place: str, config_path: Path | None) -> None:
    """Show the letter of the record at PLACE, a TOPIC/PARTITION/OFFSET as `list` prints it, with its value."""
    from deploy.operator import dead_letters

    click.echo(dead_letters.describe(dead_letters.chosen(load_reached(config_path).kafka, [place])[0]))


@dlq.command(name="replay", short_help="Put the records at PLACES back into their topics.")
@click.argument("places", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every letter there is.")
@CONFIG
def dlq_replay(places: tuple[str, ...], everything: bool, config_path: Path | None) -> None:
    """Put the records at PLACES back into their topics, if they can be read by now; exit 1 where one cannot.

    A record that was read in the meantime is not counted twice: its event has the same id."""
    from contextlib import closing

    from deploy.operator import dead_letters
    from streams.log.append import Appender
    from streams.log.dead_letters import replay as put_back

    if bool(places) == everything:
        raise click.UsageError("name PLACES, or give --all")
    kafka = load_reached(config_path).kafka
    letters = dead_letters.every(kafka) if everything else dead_letters.chosen(kafka, places)
    with closing(Appender(kafka, "cli")) as appender:
        done, refused = put_back(appender, letters)
    for reason in refused:
        click.echo(reason, err=True)
    click.echo(f"{done} put back, {len(refused)} not")
    if refused:
        raise SystemExit(1)
