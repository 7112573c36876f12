"""An alias's versions, changed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.commands.group import CONFIG, console, load, load_reached
from deploy.operator.actor import actor

if TYPE_CHECKING:
    from streams.log.settings import KafkaSettings


@click.command(short_help="Train a first adapter for ALIAS on labelled ROWS.")
@click.argument("alias")
@click.argument("rows", type=click.Path(path_type=Path))
@CONFIG
def train(alias: str, rows: Path, config_path: Path | None) -> None:
    """Train a first adapter for ALIAS on ROWS (JSON lines with text and label). `promote` then serves it."""
    from deploy.operator.models import first_adapter

    adapter = first_adapter.train(load(config_path), alias, rows, console())
    click.echo(f"{adapter.version}  {adapter.path}\nServe it: homeostat promote {alias} {adapter.version}")


@click.command(short_help="Make VERSION the champion of ALIAS now.")
@click.argument("alias")
@click.argument("version")
@click.option("--drop-previous", is_flag=True, help="Free the slot of the champion before: no rollback without a load.")
@CONFIG
def promote(alias: str, version: str, drop_previous: bool, config_path: Path | None) -> None:
    """Make VERSION the champion of ALIAS now, without a canary."""
    from deploy.operator.models import versions

    route = versions.promote(load_reached(config_path), alias, version, keep_previous=not drop_previous)
    click.echo(f"{alias}: generation {route.generation}, champion {route.champion}")


@click.command(short_help="Give ALIAS its previous champion back.")
@click.argument("alias")
@CONFIG
def rollback(alias: str, config_path: Path | None) -> None:
    """Give ALIAS its previous champion back; that one is still loaded."""
    with _acting(config_path, "rollback", alias) as kafka:
        from serving.rollout import operations

        route = operations.rollback(kafka, alias, by=actor())
    click.echo(f"{alias}: generation {route.generation}, champion {route.champion}")


@click.command(short_help="Stop automatic retraining and promotion.")
@click.argument("alias", required=False)
@CONFIG
def pause(alias: str | None, config_path: Path | None) -> None:
    """Stop all automatic retraining and promotion, of ALIAS or of everything."""
    with _acting(config_path, "pause", alias) as kafka:
        from serving.rollout import operations

        routes = [operations.pause(kafka, alias, actor())] if alias else operations.pause_all(kafka, actor())
    for route in routes:
        click.echo(f"{route.alias}: paused; `homeostat resume {route.alias}` lets it go on")


@click.command(short_help="Let ALIAS, or everything, go on again.")
@click.argument("alias", required=False)
@CONFIG
def resume(alias: str | None, config_path: Path | None) -> None:
    """Let ALIAS, or everything, retrain and promote again."""
    with _acting(config_path, "resume", alias) as kafka:
        from serving.rollout import operations

        routes = [operations.resume(kafka, alias, actor())] if alias else operations.resume_all(kafka, actor())
    for route in routes:
        click.echo(f"{route.alias}: goes on")


@contextmanager
def _acting(config_path: Path | None, act: str, alias: str | None) -> Iterator[KafkaSettings]:
    """Yield Kafka's settings once a broker answers. Raise KafkaAway, with what is known and can be done, where none
    does, or none any more. What is heavy is imported in the block: an operator in a hurry learns first that Kafka is
    away."""
    from deploy.operator.last_known import explained

    with explained(load(config_path).stack.var, act, alias):
        yield load_reached(config_path).kafka


@click.command(short_help="Mirror ALIAS's requests to VERSION; no client gets its answers.")
@click.argument("alias")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="Mirror to no version.")
@CONFIG
def shadow(alias: str, version: str | None, off: bool, config_path: Path | None) -> None:
    """Mirror ALIAS's requests to VERSION: its answers are watched, and no client gets them."""
    from deploy.operator.models import versions

    if off == (version is not None):
        raise click.UsageError("name a VERSION, or give --off")
    route = versions.shadow(load_reached(config_path), alias, version)
    click.echo(f"{alias}: generation {route.generation}, shadow {route.shadow or 'none'}")
