"""Where versions come from, and ways to a new one that no alarm asks for."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.group import CONFIG, console, load, load_reached


@click.command(short_help="Where a reply or a version comes from.")
@click.argument("name", metavar="VERSION|REQUEST_ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the ids of the rows.")
@CONFIG
def lineage(name: str, as_json: bool, config_path: Path | None) -> None:
    """Show where a reply, or a version, comes from: adapter, retraining, MLflow's run, dataset, rows, software, and the
    versions before it. A request id is the value of a reply's x-homeostat-request-id header."""
    import msgspec

    from deploy.operator.registry import lineage as operator

    found = operator.traced(load(config_path), name, with_ids=as_json)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        console().print(operator.drawn(found), soft_wrap=True)


@click.command(short_help="Retrain ALIAS now, though no alarm asks for it.")
@click.argument("alias")
@click.option("--reason", required=True, help="Why: one sentence, for the ledger.")
@CONFIG
def retrain(alias: str, reason: str, config_path: Path | None) -> None:
    """Ask for a retraining of ALIAS's champion now. A trainer takes it up; the candidate has to prove itself as any
    other has."""
    config = load_reached(config_path)
    from deploy.operator.registry import asking

    request = asking.retrain(config, alias, reason)
    click.echo(f"{alias}: retraining {request.id} of {request.champion} is asked for")


@click.command(short_help="Judge an adapter made elsewhere, FOLDER, for ALIAS.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--alias", required=True, help="The name that clients ask for.")
@click.option("--reason", default="an adapter made elsewhere", show_default=True, help="For ledger and lineage.")
@CONFIG
def adopt(folder: Path, alias: str, reason: str, config_path: Path | None) -> None:
    """Take the adapter in FOLDER, as PEFT saves one (safetensors only), into ALIAS's store. It serves no client before
    the gate has proven it better than the champion on the same rows; then it is rolled out as any candidate is."""
    config = load_reached(config_path)
    from deploy.operator.registry import asking

    found = asking.adopt(config, alias, folder, reason)
    click.echo(f"{found.adapter.version}  {found.adapter.path}")
    if found.request is None:
        click.echo(f"{alias} has no champion to compare it with; `homeostat promote {alias} {found.adapter.version}`")
    else:
        click.echo(f"judged by retraining {found.request.id} against {found.request.champion}")
