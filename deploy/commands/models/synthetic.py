"""Rows that no person sent: written by a model, or made by other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.commands.group import CONFIG, load

if TYPE_CHECKING:
    from deploy.operator.models.synthetic import MadeSet

REPORT = click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for the fidelity report, page and JSON.",
)


@click.command(name="synthesise")
@click.argument("dataset")
@click.option("--want", multiple=True, metavar="LABEL=N", help="Rows of this label, or LABEL,GROUP; of no other then.")
@REPORT
@CONFIG
def data_synthesise(dataset: str, want: tuple[str, ...], report: Path | None, config_path: Path | None) -> None:
    """Let a model write rows like those of DATASET.

    DATASET is a digest, of which the beginning will do, or a version that was trained on it. Its rows to train on are
    what the model is shown, without private values; its rows to judge on are never shown. The model is
    retrain.synthetic.url. Each row is checked, and its label confirmed by a second call. Retrainings of the alias take
    the rows where retrain.synthetic.enabled is set."""
    counts = {name: _number(name, count) for name, count in _pairs(want, "--want").items()}
    config = load(config_path)
    from deploy.operator.models import synthetic

    _show(synthetic.synthesise(config, dataset, counts), report)


@click.command(name="import")
@click.argument("dataset")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--origin", required=True, help="What made the rows, such as gretel or mostly-ai: it stays with them.")
@click.option(
    "--column", multiple=True, metavar="USE=COLUMN", help="USE is request, answer or tag.NAME; else by the usual names."
)
@click.option("--tag", multiple=True, metavar="NAME=VALUE", help="That every row has, such as licence=cc-by-4.0.")
@REPORT
@CONFIG
def data_import(
    dataset: str,
    file: Path,
    origin: str,
    column: tuple[str, ...],
    tag: tuple[str, ...],
    report: Path | None,
    config_path: Path | None,
) -> None:
    """Take rows that another tool made.

    FILE is CSV, Parquet or JSON lines. Its rows are checked against those of DATASET as what a model writes is, but
    for the second call."""
    columns, tags = _pairs(column, "--column"), _pairs(tag, "--tag")
    if not origin.strip().isprintable() or not origin.strip():
        raise click.BadParameter(f"{origin!r}, expected a name", param_hint="--origin")
    config = load(config_path)
    from deploy.operator.models import synthetic

    _show(synthetic.imported(config, dataset, file, origin.strip(), columns, tags), report)


@click.command(name="fidelity")
@click.argument("dataset")
@click.argument("rows")
@REPORT
@CONFIG
def data_fidelity(dataset: str, rows: str, report: Path | None, config_path: Path | None) -> None:
    """Compare a set of synthetic ROWS with DATASET.

    Both are digests, of which the beginning will do. Labels, groups, likeness to single real rows, and what a cheap
    classifier learns from them."""
    from deploy.operator.models import datasets, synthetic

    trees = load(config_path).kept.trees()
    listed, real = datasets.found(trees, dataset)
    measured = synthetic.fidelity(real, datasets.found(trees, rows)[1].synthetic)
    for line in synthetic.report_lines(measured):
        click.echo(line)
    if report is not None:
        from deploy.show import fidelity

        click.echo(str(fidelity.write(measured, listed.alias, report)))


@click.command(name="synthetic")
@click.argument("alias")
@click.option("--withdraw", metavar="DIGEST", help="No retraining takes this set any more.")
@CONFIG
def data_synthetic(alias: str, withdraw: str | None, config_path: Path | None) -> None:
    """List the sets of synthetic rows of ALIAS.

    Each with its digest, rows and origin. `homeostat data show DIGEST` says more."""
    from retrain.synthetic import sets

    trees = load(config_path).kept.trees()
    if withdraw is not None:
        click.echo(f"withdrawn: {sets.withdraw(trees, alias, withdraw)}")
    for each in sets.listed(trees, alias):
        part = each.parts["synthetic"]
        origins = ", ".join(f"{name} {count}" for name, count in sorted(part.origins.items()))
        click.echo(f"{each.digest}  {part.rows} rows by {origins or 'none'}")


def _show(made: MadeSet, report: Path | None) -> None:
    from deploy.operator.models import synthetic
    from deploy.show import fidelity

    for line in synthetic.lines(made):
        click.echo(line)
    if report is not None:
        click.echo(str(fidelity.write(made.report, made.listed.alias, report)))


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, value = each.rpartition("=") if option == "--want" else each.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{each!r}, expected NAME=VALUE", param_hint=option)
        found[name] = value
    return found


def _number(name: str, count: str) -> int:
    if not count.isdecimal() or not count.isascii() or not int(count):
        raise click.BadParameter(f"{name}={count}, expected a number of rows from 1 on", param_hint="--want")
    return int(count)
