"""A version's model card."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, load


@click.command(short_help="Show the model card of VERSION.")
@click.argument("version")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Write it as a page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@CONFIG
def card(version: str, page: Path | None, as_json: bool, config_path: Path | None) -> None:
    """Show what VERSION was trained on, how good it is and for whom, and what is not known. It is printed as Hugging
    Face's README.md."""
    from deploy.operator.models import cards

    store = cards.store(load(config_path))
    click.echo(cards.found(store, version, cards.JSON if as_json else cards.README).decode().rstrip())
    if page is not None:
        page.write_bytes(cards.found(store, version, cards.PAGE))
