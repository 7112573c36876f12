"""Datasets made and looked at."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, Ordered, load, load_reached

DAY_MS = 86_400_000


@click.group(cls=Ordered)
def data() -> None:
    """Make datasets and look at them."""


@data.command(name="build")
@click.argument("alias")
@click.option("--days", type=click.IntRange(1), default=7, show_default=True, help="That rows are fresh for.")
@click.option("--champion", help="The version whose training rows are known; without it the one that serves.")
@click.option("--out", type=click.Path(path_type=Path, exists=False), help="A new folder for a copy.")
@CONFIG
def data_build(alias: str, days: int, champion: str | None, out: Path | None, config_path: Path | None) -> None:
    """Make the dataset of ALIAS and train nothing.

    It is what a retraining would be given now: rows for training and judging, what is left out and why. It goes into
    the store under its digest; the same rows give the same digest."""
    if out is not None and out.exists():
        raise click.BadParameter(f"{out} exists, expected a new folder", param_hint="--out")
    config = load(config_path) if champion else load_reached(config_path)
    from deploy.operator import datasets  # takes a while to load: an operator learns first that Kafka is away
    from streams.clock import now_ms

    if champion is None:
        from serving.rollout import operations

        route = operations.routes(config.kafka).get(alias)
        if route is None:
            raise LookupError(f"{alias}: no such alias has a route; name a version with --champion")
        champion = route.champion
    listed = datasets.made(config, alias, champion, now_ms() - days * DAY_MS)
    for line in datasets.shown(listed):
        click.echo(line)
    if out is not None:
        datasets.copied(config.kept.trees(), listed.digest, out)


@data.command(name="show")
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="The manifest itself.")
@CONFIG
def data_show(dataset: str, as_json: bool, config_path: Path | None) -> None:
    """Show what a dataset holds.

    DATASET is a digest, of which the beginning will do, or a version that was trained on it. Counts by part, label,
    tag, who chose and gave the labels, and what was left out."""
    import msgspec

    from deploy.operator import datasets

    listed, _ = datasets.found(load(config_path).kept.trees(), dataset)
    lines = [msgspec.json.format(msgspec.json.encode(listed)).decode()] if as_json else datasets.shown(listed)
    for line in lines:
        click.echo(line)


@data.command(name="diff")
@click.argument("before")
@click.argument("after")
@CONFIG
def data_diff(before: str, after: str, config_path: Path | None) -> None:
    """Compare two datasets.

    Rows that came and went, by part, and labels that changed. Exit 1 where anything did."""
    from deploy.operator import datasets

    trees = load(config_path).kept.trees()
    old, new = datasets.found(trees, before)[1], datasets.found(trees, after)[1]
    change = datasets.compared(old, new)
    for line in datasets.change_lines(change):
        click.echo(line)
    if any(change.gone.values()) or any(change.come.values()) or change.relabelled:
        raise SystemExit(1)


@data.command(name="quarantine", short_help="List labels that are not believed, and decide.")
@click.argument("dataset")
@click.option(
    "--release", multiple=True, metavar="ID", help="Believe this row from now on; client:NAME: all of theirs."
)
@click.option("--uphold", multiple=True, metavar="ID", help="Never believe it, likewise.")
@CONFIG
def data_quarantine(dataset: str, release: tuple[str, ...], uphold: tuple[str, ...], config_path: Path | None) -> None:
    """List labels that are not believed, and decide.

    Each with its row's id, who gave it, and why. A decision holds for every dataset of the alias that follows."""
    from deploy.operator import datasets

    if both := set(release) & set(uphold):
        raise click.UsageError(f"{', '.join(sorted(both))}: released and upheld at once, expected one of these")
    trees = load(config_path).kept.trees()
    listed, found = datasets.found(trees, dataset)
    for ids, released, done in ((release, True, "released"), (uphold, False, "upheld")):
        settled = datasets.settle(trees, listed, found, ids, released=released)
        if settled:
            click.echo(f"{len(settled)} rows {done}: {', '.join(settled)}")
    if not (release or uphold):
        for line in datasets.quarantined(found):
            click.echo(line)
        click.echo(f"{len(found.quarantine)} rows of {listed.alias} are in quarantine", err=True)
