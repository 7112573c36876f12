"""Recorded decisions: exported, derived again, and compared with other policies."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from deploy.commands.group import CONFIG, console, load, load_reached


@click.command(short_help="Export every decision so far to FILE.")
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
def ledger(file: Path, config_path: Path | None) -> None:
    """Export every decision so far to FILE, one JSON line each."""
    from streams.ledger import export, read

    count = export(read(load_reached(config_path).kafka), file)
    click.echo(f"{count} decisions in {file}")


@click.command(short_help="Repeat each decision from its recorded inputs.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--alias", help="Only this one's decisions.")
@CONFIG
def replay(file: Path | None, alias: str | None, config_path: Path | None) -> None:
    """Repeat each decision from its recorded inputs; exit 1 at the first that differs, 2 where another edition of
    the function decided: this release cannot derive it.

    FILE is a ledger as `homeostat ledger` writes it; without one the ledger in Kafka is read."""
    from deploy.operator.replay import derived, lines
    from streams.ledger import records

    count, others = 0, Counter[str]()
    for result in derived(lines(file) if file else records(load_reached(config_path).kafka), alias):
        count += not result.other
        others.update([result.other] if result.other else [])
        if result.difference:
            what = f"decision {result.id} ({result.kind}, {result.summary})"
            raise click.ClickException(f"{what} differs: {result.difference}")
    click.echo(f"{count} decisions, all derived again bit for bit")
    for made, times in sorted(others.items()):
        click.echo(f"{times} decisions by {made}: not derived; replay them with the release that made them", err=True)
    if others:
        raise SystemExit(2)


@click.command(short_help="Replay recorded history through other policies.")
@click.option("--from", "url", help="Folder or address of the lake. Default: the stack's own.")
@click.option(
    "--policy",
    "policies",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="TOML with [monitor] and [policy] as in homeostat.toml, which fills in the rest. May be repeated.",
)
@click.option("--alias", help="Needed where the lake holds several.")
@click.option("--since", help="A date or time, UTC where it names no zone: 2026-05-01T14:30.")
@click.option("--until", help="Likewise; not included.")
@click.option(
    "--ledger", type=click.Path(path_type=Path), help="The recorded decisions. Default: ledger.jsonl next to LAKE."
)
@click.option("--retraining-minutes", type=click.FloatRange(0), help="Duration of one. Default: as the ledger has it.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("var/backtest"),
    show_default=True,
    help="Folder for the page.",
)
@CONFIG
def backtest(policies: tuple[Path, ...], out: Path, config_path: Path | None, **chosen: Any) -> None:
    """Replay recorded history through other policies: what they would have done, when, and at what cost.

    They are compared with the present settings and, where there is a ledger, with the recorded decisions. Harm is
    measured on all labels, afterwards. Its cost is the wrong answers from its onset until a retraining is requested:
    those served times the share of wrong ones among the labelled. A false page is an alarm of harm where the labels
    show none. The effect of a retraining cannot be replayed.

    Writes backtest.html and backtest.json."""
    from deploy.backtest import command
    from deploy.backtest.policies import PolicySections
    from deploy.backtest.policies import policies as read_policies
    from streams.lake.lake import Lake

    config = load(config_path)
    present = PolicySections(config.monitor, config.policy)
    url, own = chosen.pop("url"), Lake.of(config.kept)
    options = command.options(replace(own, url=url) if url else own, read_policies(present, policies), **chosen)
    page = command.run(options, out, console())
    click.echo(f"\n{page}")
