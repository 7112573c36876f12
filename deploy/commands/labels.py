"""Labels that alarms ask for."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec import json

from deploy.commands.group import CONFIG, Ordered, load_reached


@click.group(cls=Ordered)
def labels() -> None:
    """List and give labels that alarms ask for."""


@labels.command(name="wanted")
@click.argument("alias")
@click.option("--audit", is_flag=True, help="The audited replies without a label instead (gateway.audit_share).")
@click.option(
    "--draw", "count", type=click.IntRange(1), help="Draw about so many replies instead, the doubtful more often."
)
@click.option("--seed", help="Of a draw: the same one draws the same of the same replies. Default: a random one.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Into this file instead.")
@CONFIG
def labels_wanted(
    alias: str, audit: bool, count: int | None, seed: str | None, out: Path | None, config_path: Path | None
) -> None:
    """List the replies whose labels are worth most.

    Of ALIAS, one JSON object a line; fill in `label`. They are the unsure and the strange ones, no fair sample: their
    labels check the accuracy estimated from the model's confidence and are learned from; harm is proven by the labels
    of other replies. With --audit: replies that were chosen before their answer was known, since `labels.wait_s`;
    their labels prove harm, and each that is left out makes them prove less. With --draw: replies of the version that
    serves, since the last draw, a quarter by chance alone and the rest by how doubtful they look; their labels are
    weighed by the chance, prove harm, and are given back together."""
    from deploy.config import secrets
    from deploy.operator.labels import draws, wanted
    from streams.clock import now_ms
    from streams.files import write_private
    from streams.identity import uuid7
    from streams.lake.lake import Lake

    config = load_reached(config_path)
    lake, since_ms = Lake.of(config.kept), now_ms() - config.labels.wait_s * 1_000
    if audit and count:
        raise click.UsageError("--audit and --draw are two ways to choose replies, expected one of them")
    if count:
        draws.require_source(config.labels.sources)
        signer = secrets.signer(config)
        asked = draws.DrawOrder(count, seed or uuid7(), since_ms, now_ms())
        known = draws.ordered(config.kafka, lake, alias, asked)
        rows = wanted.drawn(lake, alias, known, signer)
    else:
        rows = wanted.audited(lake, alias, since_ms) if audit else wanted.wanted(config.kafka, lake, alias)
    lines = "".join(f"{json.encode(row).decode()}\n" for row in rows)
    if out is None:
        click.echo(lines, nl=False)
    else:
        write_private(out, lines.encode())
    click.echo(f"{len(rows)} replies of {alias} want a label", err=True)


@labels.command(name="give")
@click.argument("alias")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@CONFIG
def labels_give(alias: str, file: Path, config_path: Path | None) -> None:
    """Send the labels that were filled in.

    FILE is as `wanted` wrote it. Rows without a label are left for later."""
    from deploy.config import secrets
    from deploy.operator.labels import wanted
    from serving.gateway.masking import Maskers
    from streams.lake.lake import Lake
    from streams.scoring.scorer import Scorer

    config = load_reached(config_path)
    scorer = Scorer.of(config.scoring.given(alias), alias, config.stack.var)
    signer = secrets.signer(config)
    maskers = Maskers(config.gateway.mask, signer.tenant_key, config.gateway.phone_country)
    rules = wanted.LabelRules(scorer, maskers, signer, config.labels.sources)
    given, empty = wanted.give(config.kafka, Lake.of(config.kept), file, alias, rules)
    click.echo(f"{given} labels given, {empty} rows left without")


@labels.command(name="judge")
@click.argument("alias")
@click.option("--rows", default=200, show_default=True, type=click.IntRange(1), help="Newest judged replies, at most.")
@CONFIG
def labels_judge(alias: str, rows: int, config_path: Path | None) -> None:
    """Compare the judge model with people.

    The judge of ALIAS scores replies that people have judged (a score, a thumb, a label), without their judgement. What
    it has scored before is not asked again; the rest counts in its budget."""
    from deploy.commands.group import load
    from deploy.operator.labels.agreement import against_people
    from streams.lake.lake import Lake
    from streams.scoring.scorer import Scorer

    config = load(config_path)
    scorer = Scorer.of_judge(config.scoring, alias, config.stack.var)
    click.echo(against_people(Lake.of(config.kept), scorer, rows).text())
