"""An alias's versions, changed by hand."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, console, load, load_reached


@click.command(short_help="Train a first adapter for ALIAS on labelled ROWS.")
@click.argument("alias")
@click.argument("rows", type=click.Path(path_type=Path))
@CONFIG
def train(alias: str, rows: Path, config_path: Path | None) -> None:
    """Train a first adapter for ALIAS on ROWS (JSON lines with text and label). `promote` then serves it."""
    from deploy.operator import first_adapter

    adapter = first_adapter.train(load(config_path), alias, rows, console())
    click.echo(f"{adapter.version}  {adapter.path}\nServe it: homeostat promote {alias} {adapter.version}")


@click.command(short_help="Make VERSION the champion of ALIAS now.")
@click.argument("alias")
@click.argument("version")
@click.option("--drop-previous", is_flag=True, help="Free the slot of the champion before: no rollback without a load.")
@CONFIG
def promote(alias: str, version: str, drop_previous: bool, config_path: Path | None) -> None:
    """Make VERSION the champion of ALIAS now, without a canary."""
    from deploy.operator import versions

    route = versions.promote(load_reached(config_path), alias, version, keep_previous=not drop_previous)
    click.echo(f"{alias}: generation {route.generation}, champion {route.champion}")


@click.command(short_help="Give ALIAS its previous champion back.")
@click.argument("alias")
@CONFIG
def rollback(alias: str, config_path: Path | None) -> None:
    """Give ALIAS its previous champion back; that one is still loaded."""
    from serving.rollout import operations

    route = operations.rollback(load_reached(config_path).kafka, alias, by="cli")
    click.echo(f"{alias}: generation {route.generation}, champion {route.champion}")


@click.command(short_help="Stop automatic retraining and promotion.")
@click.argument("alias", required=False)
@CONFIG
def pause(alias: str | None, config_path: Path | None) -> None:
    """Stop all automatic retraining and promotion, of ALIAS or of everything."""
    from serving.rollout import operations

    kafka = load_reached(config_path).kafka
    for route in [operations.pause(kafka, alias, "cli")] if alias else operations.pause_all(kafka, "cli"):
        click.echo(f"{route.alias}: paused; `homeostat resume {route.alias}` lets it go on")


@click.command(short_help="Let ALIAS, or everything, go on again.")
@click.argument("alias", required=False)
@CONFIG
def resume(alias: str | None, config_path: Path | None) -> None:
    """Let ALIAS, or everything, retrain and promote again."""
    from serving.rollout import operations

    kafka = load_reached(config_path).kafka
    for route in [operations.resume(kafka, alias, "cli")] if alias else operations.resume_all(kafka, "cli"):
        click.echo(f"{route.alias}: goes on")


@click.command(short_help="Mirror ALIAS's requests to VERSION; no client gets its answers.")
@click.argument("alias")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="Mirror to no version.")
@CONFIG
def shadow(alias: str, version: str | None, off: bool, config_path: Path | None) -> None:
    """Mirror ALIAS's requests to VERSION: its answers are watched, and no client gets them."""
    from deploy.operator import versions

    if off == (version is not None):
        raise click.UsageError("name a VERSION, or give --off")
    route = versions.shadow(load_reached(config_path), alias, version)
    click.echo(f"{alias}: generation {route.generation}, shadow {route.shadow or 'none'}")
