"""What is stored: how much, and its care."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load


@click.group(cls=Ordered)
def storage() -> None:
    """Show what the lake holds, and care for it."""


@storage.command(name="status", short_help="The lake's tables: their days, files and bytes.")
@CONFIG
def storage_status(config_path: Path | None) -> None:
    """Show the lake's tables: their days, files and bytes. No row is read."""
    from streams.lake.lake import Lake
    from streams.lake.retention import tables

    config = load(config_path)
    stored = Lake.of(config.kept)
    found = tables(stored)
    for each in found:
        days = f"{each.days[0]} to {each.days[1]}" if each.days else "no rows"
        click.echo(f"{each.name:<9} {days:<24} {each.files:>7,} files {each.bytes / 1e6:>12,.1f} MB")
    if not found:
        click.echo(f"{stored.url}: nothing is stored yet")
    kept = config.storage.keep_days
    click.echo(f"kept for {kept} days (storage.keep_days)" if kept else "kept for ever: storage.keep_days is 0")


@storage.command(name="care", short_help="Merge, delete and give back now, once.")
@CONFIG
def storage_care(config_path: Path | None) -> None:
    """Merge small files, delete days that are over, and give bytes back: now, once. `homeostat run storage` does it all
    the time; this is for a job that runs now and then instead. Exit 1 where a part of it failed."""
    from deploy.operator.care import Care, parts

    failed = []
    for part, came in Care(parts(load(config_path))).turn(0.0):
        if isinstance(came, Exception):
            failed.append(f"{part.name}: {came}")
        else:
            click.echo(f"{part.name:<9} {came:,} {part.counts}")
    if failed:
        raise click.ClickException("; ".join(failed))
