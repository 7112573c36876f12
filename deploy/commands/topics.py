"""Topics whose offsets the lake and the judge know."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load_reached


@click.group(cls=Ordered)
def topics() -> None:
    """Accept topics that were created again."""


@topics.command(name="list", short_help="The topics that the lake knows, and whether one was created again.")
@CONFIG
def topics_list(config_path: Path | None) -> None:
    """List the topics that the lake knows, with their ids, and whether one was created again."""
    from deploy.operator import topic_renewal as renewal

    for each in renewal.every(load_reached(config_path)):
        click.echo(each)


@topics.command(name="accept", short_help="Go on with TOPIC, which was deleted and created again.")
@click.argument("topic")
@CONFIG
def topics_accept(topic: str, config_path: Path | None) -> None:
    """Go on with TOPIC, which was deleted and created again.

    Until then the worker takes nothing: offsets of the new topic would be mistaken for those of the old one. The lake
    keeps the old rows, and the new topic is read and judged from its beginning."""
    from deploy.operator import topic_renewal as renewal

    click.echo(renewal.accept(load_reached(config_path), topic))
