"""Topics whose offsets the lake and the judge know."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load_reached


@click.group(cls=Ordered)
def topics() -> None:
    """Topics that were deleted and created again."""


@topics.command(name="list", short_help="Each topic that the lake knows, and whether it was made anew.")
@CONFIG
def topics_list(config_path: Path | None) -> None:
    """Each topic that the lake knows, with its id, and whether it was made anew."""
    from deploy.operator import topic_renewal as renewal

    for each in renewal.every(load_reached(config_path)):
        click.echo(each)


@topics.command(name="accept", short_help="Go on with TOPIC, which was deleted and created again.")
@click.argument("topic")
@CONFIG
def topics_accept(topic: str, config_path: Path | None) -> None:
    """Go on with TOPIC, which was deleted and created again.

    Until then the worker takes nothing: offsets of the new topic would be taken for those of the old one. The lake
    keeps the old rows, and the new topic is read and judged from its beginning."""
    from deploy.operator import topic_renewal as renewal

    click.echo(renewal.accept(load_reached(config_path), topic))
