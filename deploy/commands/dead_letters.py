"""Events that nobody could read."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load_reached


@click.group(name="dlq", cls=Ordered)
def dead_letters() -> None:
    """Events that nobody could read."""


@dead_letters.command(name="list", short_help="Each with its place, its time, and why nobody could read it.")
@click.option("--topic", "topics", multiple=True, help="Only of this topic; may be given several times.")
@CONFIG
def dlq_list(topics: tuple[str, ...], config_path: Path | None) -> None:
    """Each with its place, when it was written, and why nobody could read it."""
    from deploy.operator import dead_letters as letters

    found = letters.every(load_reached(config_path).kafka, topics)
    for letter in found:
        click.echo(letters.line(letter))
    click.echo(f"{len(found)} dead letters", err=True)


@dead_letters.command(name="show", short_help="The letter of the record at PLACE, with its value.")
@click.argument("place")
@CONFIG
def dlq_show(place: str, config_path: Path | None) -> None:
    """The letter of the record at PLACE, a TOPIC/PARTITION/OFFSET as `list` prints it, with its value."""
    from deploy.operator import dead_letters as letters

    click.echo(letters.told(letters.chosen(load_reached(config_path).kafka, [place])[0]))


@dead_letters.command(name="replay", short_help="Put the records at PLACES back into their topics.")
@click.argument("places", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every letter there is.")
@CONFIG
def dlq_replay(places: tuple[str, ...], everything: bool, config_path: Path | None) -> None:
    """Put the records at PLACES back into their topics, if they can be read by now; exit 1 where one cannot.

    What was read in the meantime is not counted twice: its event has the same id."""
    from deploy.operator import dead_letters as letters

    if bool(places) == everything:
        raise click.UsageError("name PLACES, or say --all")
    kafka = load_reached(config_path).kafka
    done, refused = letters.put_back(kafka, letters.every(kafka) if everything else letters.chosen(kafka, places))
    for reason in refused:
        click.echo(reason, err=True)
    click.echo(f"{done} put back, {len(refused)} not")
    if refused:
        raise SystemExit(1)
