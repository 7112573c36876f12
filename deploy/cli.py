"""`homeostat`: the one command. Each subcommand imports only what it needs, so that help is instant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import json

from deploy.parse import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from deploy.config import Config

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HOMEOSTAT_CONFIG",
    help="homeostat.toml; without it ./homeostat.toml if there is one, else the built-in defaults.",
)
EXPECTED_ERRORS = (ConfigError, LookupError, ValueError, OSError, RuntimeError)


class Ordered(click.Group):
    """Lists the commands in the order they are met in life; expected errors are one message, not a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, command in self.commands.items() if not command.hidden]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # how click ends; RuntimeErrors by descent only
            raise
        except EXPECTED_ERRORS as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(str(error) or type(error).__name__) from error


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="homeostat")
def main(debug: bool) -> None:
    """Keeps fine-tuned LLM adapters healthy in production.

    Clients talk to an OpenAI-compatible gateway in front of vLLM. Their traffic is watched; when the model is
    harmed, a candidate is trained, has to prove itself, and is swapped in without a restart.

    Start with `homeostat demo`: it shows the whole loop on this machine.
    """


@main.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder with before.jsonl and after.jsonl.")
@click.option("--model", type=click.Path(path_type=Path), help="A Hugging Face model folder; default Gemma 3 270M.")
@click.option("--expect", type=click.Choice(["retrain", "nothing"]), default="retrain", show_default=True)
@click.option(
    "--shift",
    type=click.Choice(["new intents", "none", "polite"]),
    help="How the demo's own world changes (without --data).  [default: new intents; none with --expect nothing]",
)
@click.option("--report", type=click.Path(path_type=Path), default=Path("var/demo"), show_default=True)
@click.option("--feedback", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of labelled rows.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--keep", is_flag=True, help="Leave the stack running afterwards.")
def demo(
    data: Path | None,
    model: Path | None,
    expect: str,
    shift: str | None,
    report: Path,
    feedback: float,
    seed: int,
    keep: bool,
) -> None:
    """Show the closed loop on this machine, with a report and a picture."""
    from deploy.demo import Options, run

    shift = shift or ("new intents" if expect == "retrain" else "none")
    options = Options(data, shift, model, expect, report, feedback, seed, keep)  # type: ignore[arg-type]
    sys.exit(0 if run(options, _console()) else 1)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--shift", type=click.Choice(["new intents", "none", "polite"]), default="new intents", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def world(directory: Path, shift: str, seed: int) -> None:
    """Write the demo's own world as before.jsonl and after.jsonl."""
    from deploy.world import write

    write(directory, seed, shift)  # type: ignore[arg-type]
    click.echo(f"wrote {directory / 'before.jsonl'} and {directory / 'after.jsonl'}")


@main.command()
def setup() -> None:
    """Fetch what is fetched once: Kafka's jars and the demo's base model."""
    from deploy.fetch import fetch

    fetch(_console())


@main.command()
@CONFIG
def doctor(config_path: Path | None) -> None:
    """Check this machine and the configuration, and say what to do."""
    from deploy.doctor import examine, healthy, render

    findings = examine(_load(config_path))
    _console().print(render(findings))
    sys.exit(0 if healthy(findings) else 1)


@main.command()
@CONFIG
def up(config_path: Path | None) -> None:
    """Start the stack: Kafka, vLLM, gateway, worker, controller, trainer."""
    from deploy import secrets, stack
    from deploy.progress import shown

    config = _load(config_path)
    with shown(_console()) as report:
        stack.up(config, config_path, report)
    click.echo(f"gateway  http://127.0.0.1:{config.stack.gateway_port}/v1")
    click.echo(f"API key  in {secrets.api_key_file(config)}")


@main.command()
@CONFIG
def down(config_path: Path | None) -> None:
    """Stop everything that `up` started."""
    from deploy import stack
    from deploy.progress import shown

    with shown(_console()) as report:
        stopped = stack.down(_load(config_path), report)
    if not stopped:
        click.echo("nothing was running")


@main.command()
@CONFIG
def status(config_path: Path | None) -> None:
    """What runs, and which version each alias serves."""
    from deploy import stack
    from deploy.progress import table

    config = _load(config_path)
    statuses = stack.status(config)
    console = _console()
    console.print(table(statuses))
    if any(s.name == "kafka" and s.state == "ready" for s in statuses) or not config.stack.embedded_kafka:
        _show_routes(config, console)


@main.command()
@click.argument("alias")
@click.argument("rows", type=click.Path(path_type=Path))
@CONFIG
def train(alias: str, rows: Path, config_path: Path | None) -> None:
    """Tune a first adapter for ALIAS on ROWS (JSON lines with text and label). `promote` then serves it."""
    from deploy.first import tune

    adapter = tune(_load(config_path), alias, rows, _console())
    click.echo(f"{adapter.version}  {adapter.path}\nServe it: homeostat promote {alias} {adapter.version}")


@main.command()
@click.argument("alias")
@click.argument("version")
@click.option("--drop-previous", is_flag=True, help="Free the slot of the champion before: no rollback without a load.")
@CONFIG
def promote(alias: str, version: str, drop_previous: bool, config_path: Path | None) -> None:
    """Make VERSION the champion of ALIAS now, without a canary."""
    from deploy import operator

    route = operator.promote(_load(config_path), alias, version, keep_previous=not drop_previous)
    click.echo(f"{alias}: generation {route.generation}, champion {route.champion}")


@main.command()
@click.argument("alias")
@CONFIG
def rollback(alias: str, config_path: Path | None) -> None:
    """Give ALIAS its previous champion back; that one is still loaded."""
    from serving.rollout import operations

    route = operations.rollback(_load(config_path).kafka, alias, by="cli")
    click.echo(f"{alias}: generation {route.generation}, champion {route.champion}")


@main.command()
@click.argument("alias", required=False)
@CONFIG
def pause(alias: str | None, config_path: Path | None) -> None:
    """Stop all automatic retraining and promotion, of ALIAS or of everything."""
    from serving.rollout import operations

    kafka = _load(config_path).kafka
    for route in [operations.pause(kafka, alias, "cli")] if alias else operations.pause_all(kafka, "cli"):
        click.echo(f"{route.alias}: paused; `homeostat resume {route.alias}` lets it go on")


@main.command()
@click.argument("alias", required=False)
@CONFIG
def resume(alias: str | None, config_path: Path | None) -> None:
    """Let ALIAS, or everything, retrain and promote again."""
    from serving.rollout import operations

    kafka = _load(config_path).kafka
    for route in [operations.resume(kafka, alias, "cli")] if alias else operations.resume_all(kafka, "cli"):
        click.echo(f"{route.alias}: goes on")


@main.command()
@click.argument("alias")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="Mirror to nobody.")
@CONFIG
def shadow(alias: str, version: str | None, off: bool, config_path: Path | None) -> None:
    """Mirror ALIAS's requests to VERSION: its answers are watched, and nobody gets them."""
    from deploy import operator

    if off == (version is not None):
        raise click.UsageError("name a VERSION, or say --off")
    route = operator.shadow(_load(config_path), alias, version)
    click.echo(f"{alias}: generation {route.generation}, shadow {route.shadow or 'none'}")


@main.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["infer", "feedback", "admin"]),
    help="Default: infer and feedback.",
)
@click.option("--requests-per-minute", type=click.IntRange(1), help="As many from each gateway process.")
@click.option("--max-in-flight", type=click.IntRange(1), help="At once, in each gateway process.")
def key(name: str, scopes: tuple[str, ...], requests_per_minute: int | None, max_in_flight: int | None) -> None:
    """Make an API key for NAME: shown once, with its entry for the gateway's keys file."""
    import secrets

    from serving.gateway.keys import USUAL, Key, digest, entry

    made = secrets.token_urlsafe(32)
    written = Key(name, digest(made), frozenset(scopes or USUAL), requests_per_minute, max_in_flight)
    click.echo(f"key: {made}\n\n{entry(written)}", nl=False)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
def ledger(file: Path, config_path: Path | None) -> None:
    """Export every decision so far to FILE, one JSON line each."""
    from streams.ledger import export, read

    count = export(read(_load(config_path).kafka), file)
    click.echo(f"{count} decisions in {file}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--alias", help="Only this one's decisions.")
@CONFIG
def replay(file: Path | None, alias: str | None, config_path: Path | None) -> None:
    """Derive each decision again from its recorded inputs; exit 1 at the first that differs.

    FILE is a ledger as `homeostat ledger` writes it; without one the ledger in Kafka is read."""
    from deploy.replay import derived, lines

    count = 0
    for result in derived(lines(file) if file else _ledger(_load(config_path)), alias):
        count += 1
        if result.difference:
            what = f"decision {result.id} ({result.kind}, {result.summary})"
            raise click.ClickException(f"{what} differs: {result.difference}")
    click.echo(f"{count} decisions, all derived again bit for bit")


@main.command()
@click.option("--from", "lake", type=click.Path(path_type=Path), help="The Parquet lake. Default: the stack's own.")
@click.option(
    "--policy",
    "policies",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="TOML with [monitor] and [policy] as in homeostat.toml, which holds where it says nothing. May be repeated.",
)
@click.option("--alias", help="Needed where the lake holds several.")
@click.option("--since", help="A date or time, UTC where it names no zone: 2026-05-01T14:30.")
@click.option("--until", help="Likewise; not included.")
@click.option(
    "--ledger", type=click.Path(path_type=Path), help="What really happened. Default: ledger.jsonl beside LAKE."
)
@click.option("--retraining-minutes", type=click.FloatRange(0), help="What one takes. Default: as the ledger has it.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/backtest"), show_default=True)
@CONFIG
def backtest(policies: tuple[Path, ...], out: Path, config_path: Path | None, **chosen: Any) -> None:
    """Replay recorded history through other policies: what they would have done, when, and at what cost.

    Beside them stand the present settings and, where there is a ledger, what happened. Harm is what all labels show
    afterwards. Its cost is the wrong answers from its onset until a retraining is asked for, those served times the
    share of wrong ones among the labelled. A false page says harm where the labels show none. What a retraining would
    have come to cannot be replayed.

    Writes backtest.html and backtest.json."""
    from deploy.backtest import candidates, command

    config = _load(config_path)
    present = candidates.Sections(config.monitor, config.policy)
    lake = chosen.pop("lake") or config.stack.var / "lake"
    options = command.options(lake, candidates.candidates(present, policies), **chosen)
    page = command.run(options, out, _console())
    click.echo(f"\n{page}")


@main.group(name="dlq", cls=Ordered)
def dead_letters() -> None:
    """Events that nobody could read."""


@dead_letters.command(name="list")
@click.option("--topic", "topics", multiple=True, help="Only of this topic; may be given several times.")
@CONFIG
def dlq_list(topics: tuple[str, ...], config_path: Path | None) -> None:
    """Each with its place, when it was written, and why nobody could read it."""
    from deploy import letters

    found = letters.every(_load(config_path).kafka, topics)
    for letter in found:
        click.echo(letters.line(letter))
    click.echo(f"{len(found)} dead letters", err=True)


@dead_letters.command(name="show")
@click.argument("place")
@CONFIG
def dlq_show(place: str, config_path: Path | None) -> None:
    """The letter of the record at PLACE, a TOPIC/PARTITION/OFFSET as `list` prints it, with its value."""
    from deploy import letters

    click.echo(letters.told(letters.chosen(_load(config_path).kafka, [place])[0]))


@dead_letters.command(name="replay")
@click.argument("places", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every letter there is.")
@CONFIG
def dlq_replay(places: tuple[str, ...], everything: bool, config_path: Path | None) -> None:
    """Put the records at PLACES back into their topics, if they can be read by now; exit 1 where one cannot.

    What was read in the meantime is not counted twice: its event has the same id."""
    from deploy import letters

    if bool(places) == everything:
        raise click.UsageError("name PLACES, or say --all")
    kafka = _load(config_path).kafka
    done, refused = letters.put_back(kafka, letters.every(kafka) if everything else letters.chosen(kafka, places))
    for reason in refused:
        click.echo(reason, err=True)
    click.echo(f"{done} put back, {len(refused)} not")
    if refused:
        raise SystemExit(1)


@main.group(cls=Ordered)
def labels() -> None:
    """Labels that alarms ask for."""


@labels.command(name="wanted")
@click.argument("alias")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Into this file instead.")
@CONFIG
def labels_wanted(alias: str, out: Path | None, config_path: Path | None) -> None:
    """The replies of which a label tells most.

    Of ALIAS, one JSON object a line; fill in `label`. They are the unsure and the strange ones, no fair sample: their
    labels check the accuracy estimated from the model's confidence and are learned from; harm is proven by the labels
    of others."""
    from deploy import labelling

    config = _load(config_path)
    rows = labelling.wanted(config.kafka, config.stack.var / "lake", alias)
    lines = "".join(f"{json.encode(row).decode()}\n" for row in rows)
    if out is None:
        click.echo(lines, nl=False)
    else:
        out.write_text(lines)
    click.echo(f"{len(rows)} replies of {alias} want a label", err=True)


@labels.command(name="give")
@click.argument("alias")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@CONFIG
def labels_give(alias: str, file: Path, config_path: Path | None) -> None:
    """Send the labels that were filled in.

    FILE is as `wanted` wrote it. Rows without a label are left for later."""
    from deploy import labelling
    from serving.gateway.masking import Masker

    config = _load(config_path)
    answers = labelling.Answers(config.gateway.metrics, Masker(config.gateway.mask))
    given, empty = labelling.give(config.kafka, config.stack.var / "lake", file, alias, answers)
    click.echo(f"{given} labels given, {empty} rows left without")


@main.group(cls=Ordered)
def monitor() -> None:
    """How often it may be wrong, and what it finds."""


@monitor.command()
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Between false pages. Default: what is set now.")
@click.option("--events", type=click.FloatRange(0), required=True, help="Replies a day, of one alias.")
@click.option("--labels", type=click.FloatRange(0), default=0, show_default=True, help="Labels a day, of one alias.")
@click.option("--aliases", type=click.IntRange(1), default=1, show_default=True)
@click.option("--tags", type=click.IntRange(0), default=0, show_default=True, help="Tags that clients name: groups.")
@click.option(
    "--autocorrelation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Of neighbouring events: what dependence costs in what is found.",
)
@click.option(
    "--waves",
    type=click.IntRange(0, 13),
    default=0,
    show_default=True,
    help="Of day and week that the reference shows: what a rhythm costs.",
)
@CONFIG
def plan(
    days: float | None,
    events: float,
    labels: float,
    aliases: int,
    tags: int,
    autocorrelation: float,
    waves: int,
    config_path: Path | None,
) -> None:
    """Share one false-alarm budget over all detectors, and show what each still finds within an hour.

    The budget holds however aliases, segments and descriptors depend on each other."""
    from deploy import monitor_plan as plans
    from monitor.budget import Traffic

    settings = _load(config_path).monitor
    traffic = Traffic(events=events, labels=labels, aliases=aliases, tags=tags)
    dependence = plans.Dependence(autocorrelation, waves)
    made = plans.asked(settings, traffic, days, dependence) if days else plans.present(settings, traffic, dependence)
    _console().print(plans.table(made))
    over = "the alias" if aliases == 1 else f"all {aliases} aliases"
    click.echo(f"\nAt least {plans.told(made.days)} pass between false pages, on average, of {over} together.")
    if days:
        click.echo(f"\nIn homeostat.toml:\n\n{plans.settings_for(made)}")


@main.group(cls=Ordered)
def dashboards() -> None:
    """Grafana dashboards and alert rules as code."""


@dashboards.command()
@click.argument("folder", type=click.Path(path_type=Path))
def export(folder: Path) -> None:
    """Write dashboards, alert rules and a Prometheus configuration to FOLDER."""
    from dashboards.export import export as write

    for path in write(folder):
        click.echo(str(path))


@dashboards.command()
@click.option("--url", required=True, envvar="GRAFANA_URL", help="Grafana's address.")
@click.option("--token", required=True, envvar="GRAFANA_TOKEN", help="A service account's token.")
def push(url: str, token: str) -> None:
    """Put dashboard and alert rules into Grafana; doing it twice changes nothing."""
    from dashboards.push import push as send

    for line in send(url, token):
        click.echo(line)


@main.command(hidden=True)
@click.argument("role", type=click.Choice(["gateway", "shipper", "worker", "controller", "trainer"]))
@click.option("--name", default="", help="Which one, where there are several gateways.")
@CONFIG
def run(role: str, name: str, config_path: Path | None) -> None:
    """One process of the stack, in the foreground."""
    from deploy.roles import run as start

    start(role, _load(config_path), config_path, name)


def _load(path: Path | None) -> Config:
    from deploy.config import load

    return load(path)


def _ledger(config: Config) -> Iterator[tuple[str, bytes]]:
    from streams.ledger import records

    return records(config.kafka)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _show_routes(config: Config, console: Console) -> None:
    from rich.table import Table

    from serving.rollout import operations

    columns = ("alias", "champion", "canary", "previous", "shadow", "generation", "paused")
    drawn = Table(*columns, box=None, header_style="bold")
    for alias, route in operations.routes(config.kafka).items():
        canary = f"{route.canary} ({route.weight:.0%})" if route.canary else ""
        paused = "yes" if route.paused else ""
        others = (route.previous or "", route.shadow or "")
        drawn.add_row(alias, route.champion, canary, *others, str(route.generation), paused)
    console.print(drawn)


if __name__ == "__main__":
    main()
