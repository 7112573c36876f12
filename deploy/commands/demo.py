"""The demo, its world, its downloads, and the check of this machine."""

from __future__ import annotations

import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from deploy.commands.group import CONFIG, console, load
from deploy.roles.names import ROLES

KINDS = click.Choice(
    [
        *("bare", "instruction 150", "instruction 600", "documents", "conversation", "examples"),
        *("tools", "extraction", "free text", "thumbs", "complaints", "sure"),
    ]
)
SHIFTS = click.Choice(["new intents", "none", "polite"])  # of the demo's own world


@click.command(short_help="Show the closed loop on this machine.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with before.jsonl and after.jsonl.")
@click.option("--metric", default="exact_match", help="Of the answers: a name, or a table as { schema = FILE }.")
@click.option("--tool-parser", default="", help="How vLLM finds calls in this model's answers, as hermes.")
@click.option("--model", type=click.Path(path_type=Path), help="A Hugging Face model folder; default Gemma 3 270M.")
@click.option(
    "--expect",
    type=click.Choice(["retrain", "nothing"]),
    default="retrain",
    show_default=True,
    help="The outcome that must come.",
)
@click.option(
    "--shift",
    type=SHIFTS,
    help="How the demo's own world changes (without --data).  [default: new intents; none with --expect nothing]",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="Folder for all of it.",
)
@click.option("--feedback", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of labelled rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn by chance.")
@click.option("--keep", is_flag=True, help="Leave the stack running afterwards.")
@click.option(
    "--size",
    type=click.Choice(["full", "small"]),
    default="full",
    show_default=True,
    help="Of the demo's own world; small: 6 intents at a time instead of 14, and half as long.",
)
def demo(
    data: Path | None,
    metric: str,
    tool_parser: str,
    model: Path | None,
    expect: str,
    shift: str | None,
    report: Path,
    feedback: float,
    seed: int,
    keep: bool,
    size: str,
) -> None:
    """Show the closed loop on this machine, with a report and a picture."""
    from deploy.demo.loop import DemoOptions, run

    shift = shift or ("new intents" if expect == "retrain" else "none")
    options = DemoOptions(data, shift, model, expect, report, feedback, seed, keep, size, tool_parser, _metric(metric))  # type: ignore[arg-type]
    sys.exit(0 if run(options, console()) else 1)


def _metric(given: str) -> Any:
    """Return a metric as `scoring.metrics` has it. Raise BadParameter for a table that is none."""
    if not given.lstrip().startswith("{"):
        return given
    try:
        return tomllib.loads(f"metric = {given}")["metric"]
    except tomllib.TOMLDecodeError as error:
        raise click.BadParameter(f"{given!r} is no table as TOML has it: {error}", param_hint="--metric") from error


@click.command(short_help="Write the demo's own world: before.jsonl, after.jsonl.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--shift",
    type=SHIFTS,
    default="new intents",
    show_default=True,
    help="How the world changes.",
)
@click.option("--kind", type=KINDS, default="bare", show_default=True, help="As which requests the tickets come.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn by chance.")
def world(directory: Path, shift: str, kind: str, seed: int) -> None:
    """Write the demo's own world as before.jsonl and after.jsonl, for `homeostat demo --data`.

    Kinds: bare messages; behind an instruction of so many words, behind a document that was looked up, at the end of a
    conversation, after examples; with tools to call, with fields to fill (extraction), with a reply in words (free
    text, for --metric rouge_l). Of thumbs, complaints and sure the rows are bare: there users or the model differ."""
    from deploy.demo.world.world import write

    write(directory, seed, shift, kind)  # type: ignore[arg-type]
    click.echo(f"wrote {directory / 'before.jsonl'} and {directory / 'after.jsonl'}")


@click.command(short_help="Fetch Kafka's jars and the demo's base model, once.")
def setup() -> None:
    """Fetch Kafka's jars and the demo's base model, once."""
    from deploy.stack.fetch import fetch

    fetch(console())


@click.command(short_help="Check machine, configuration, brokers, topics and engines.")
@click.option(
    "--role",
    type=click.Choice([role for role in ROLES if role != "shipper"]),
    help="What this role needs, from where it would stand: run it there, with that role's settings.",
)
@CONFIG
def doctor(role: str | None, config_path: Path | None) -> None:
    """Check this machine, the configuration, and the running parts, and say what to do.

    Brokers, topics and engines are checked, too; none of them need to run, but for a --role."""
    from kafka.errors import KafkaError

    from deploy.doctor.findings import healthy, render
    from deploy.doctor.machine import examine
    from deploy.operator.alarms import memories
    from deploy.operator.status import unproven
    from deploy.stack.broker import KafkaAway, reached

    config = load(config_path)
    if role:
        from deploy.doctor import standing

        findings = standing.examine(role, config)
        console().print(render(findings))
        sys.exit(0 if healthy(findings) else 1)
    findings = examine(config)
    with suppress(KafkaAway, KafkaError, LookupError):  # a finding of their own says so
        findings += unproven(config.monitor, memories(reached(config.kafka)))
    console().print(render(findings))
    sys.exit(0 if healthy(findings) else 1)
