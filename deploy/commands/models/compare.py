"""Which base or recipe is the smallest that does."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, console, load


@click.command(short_help="Find the smallest base or recipe that does for ALIAS.")
@click.argument("alias")
@click.argument("rows", type=click.Path(path_type=Path), required=False)
@click.option("--dataset", default="", metavar="DIGEST", help="A retraining's dataset in the store, instead of ROWS.")
@click.option("--recipe", "recipes", multiple=True, help="A recipe to compare, on the stack's base; several times.")
@click.option(
    "--candidates",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of [[candidate]] tables: name, recipe, model, engine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@CONFIG
def compare(
    alias: str,
    rows: Path | None,
    dataset: str,
    recipes: tuple[str, ...],
    candidates: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Train several bases or recipes on ROWS (JSON lines with text and label), gate each against the best, and say
    which is the smallest that is not worse. The stack's engine answers; another base needs an engine of its own.
    """
    import msgspec

    from deploy.operator import compare as operator
    from retrain.choice.candidates import Contender, read_candidates
    from retrain.choice.decision import shown

    given = read_candidates(candidates) if candidates else []
    given += [Contender(name=Path(each).stem, recipe=each) for each in recipes]
    config, screen = load(config_path), console()
    found = operator.compare(config, alias, rows, dataset, given, screen)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    from rich.table import Table

    table = Table(box=None)
    lines = shown(found.contestants, found.choice)
    for name in lines[0]:
        table.add_column(name)
    for line in lines:
        table.add_row(*line.values())
    screen.print(table)
    for each in found.choice.placings:
        if each.standing in ("worse", "unknown"):
            click.echo(f"{each.name}: {each.reason}")
    click.echo(f"the smallest that does: {found.choice.chosen} (best: {found.choice.best})")
