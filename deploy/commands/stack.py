"""The stack on this machine, its processes, and API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deploy.commands.group import CONFIG, console, load, load_reached
from deploy.roles.names import ROLES, listed


@click.command(short_help="Start Kafka, vLLM, gateway, worker, controller, trainer.")
@CONFIG
def up(config_path: Path | None) -> None:
    """Start the stack: Kafka, vLLM, gateway, worker, controller, trainer, and the care of storage."""
    from deploy.config import secrets
    from deploy.show.progress import shown
    from deploy.stack import lifecycle

    config = load(config_path)
    with shown(console()) as report:
        lifecycle.up(config, config_path, report)
    click.echo(f"gateway  http://127.0.0.1:{config.stack.gateway_port}/v1")
    if secrets.default_key(config):
        click.echo(f"API key  in {secrets.api_key_file(config)}")


@click.command()
@CONFIG
def down(config_path: Path | None) -> None:
    """Stop everything that `up` started."""
    from deploy.show.progress import shown
    from deploy.stack import lifecycle

    with shown(console()) as report:
        stopped = lifecycle.down(load(config_path), report)
    if not stopped:
        click.echo("nothing was running")


@click.command(short_help="The processes, and the version that each alias serves.")
@click.option("--people", is_flag=True, help="What people had to do for each retraining; reads the whole ledger.")
@CONFIG
def status(people: bool, config_path: Path | None) -> None:
    """Show the processes, the version that each alias serves, and its watch: open alarms, untested signals and why.
    A version that an engine does not prove to compute with is named, with the reason.

    Exit 1 where no broker answers: then it is not known which version serves."""
    from deploy.operator import status
    from deploy.operator.alarms import memories
    from deploy.show.progress import table
    from deploy.stack import lifecycle
    from serving.rollout import operations

    config, terminal = load(config_path), console()
    terminal.print(table(lifecycle.status(config)))
    kafka = load_reached(config_path).kafka
    terminal.print(status.table(operations.routes(kafka)))
    for line in status.observed(config.policy):
        click.echo(line)
    for line in status.without_proof(operations.attestations(kafka)):
        click.echo(line)
    for line in status.lines(config.monitor, memories(kafka)):
        click.echo(line)
    if people:
        from deploy.operator.registry import effort

        terminal.print(effort.table(effort.of(kafka, config.kept)))


@click.command(short_help="Make an API key for NAME: shown once.")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["infer", "feedback", "review", "downstream", "admin", "approve", "read"]),
    help="Default: infer and feedback. review, downstream: feedback that goes before a client's; approve: candidates; "
    "read: commands of the admin API that only look, which admin may give too.",
)
@click.option("--requests-per-minute", type=click.IntRange(1), help="As many in each gateway process.")
@click.option("--max-in-flight", type=click.IntRange(1), help="At once, in each gateway process.")
@click.option("--max-answers", type=click.IntRange(1), help="Prompts times n under way, in each gateway process.")
@click.option("--user", default="", help="The person whose key it is: no request names another end user.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Of all its requests, as language=de.")
@click.option("--alias", "aliases", multiple=True, help="That it may ask, label and act on; without it all.")
@click.option("--tenant", "tenants", multiple=True, help="Whose requests it sends; of several a header names one.")
def key(
    name: str,
    scopes: tuple[str, ...],
    user: str,
    tags: tuple[str, ...],
    aliases: tuple[str, ...],
    tenants: tuple[str, ...],
    **bounds: int | None,
) -> None:
    """Make an API key for NAME: shown once, with its entry for the gateway's keys file."""
    from serving.gateway.access.keys import USUAL, Key, digest, entry, new_secret

    if "/" in name:
        raise click.BadParameter(f"{name!r} contains '/', expected another character: events part key and user by it")
    named = dict(tag.partition("=")[::2] for tag in tags)
    if not all(tag and value for tag, value in named.items()):
        raise click.BadParameter(f"{', '.join(tags)}: expected NAME=VALUE, as tenant=acme", param_hint="--tag")
    made = new_secret()
    if tenants and "tenant" in named:
        raise click.BadParameter("expected one of --tag tenant=... and --tenant", param_hint="--tenant")
    given = frozenset(scopes or USUAL)
    more: dict[str, Any] = {**bounds, "aliases": aliases, "tenants": tenants}
    written = Key(name, digest(made), given, user=user, tags=named, **more)
    click.echo(f"key: {made}\n\n{entry(written)}", nl=False)


@click.command(short_help="Ask a role on this machine whether it lives.")
@click.argument("role", type=click.Choice([role for role in ROLES if role != "shipper"]), metavar="ROLE")
@CONFIG
def health(role: str, config_path: Path | None) -> None:
    """Ask the own port of ROLE for /healthz, as containers' health checks do. Exit 1 where it does not answer."""
    from deploy.doctor.alive import alive, own_port

    config = load(config_path)
    if not alive(role, config):
        _, port = own_port(role, config)
        raise click.ClickException(f"{role} does not answer /healthz at port {port}")
    click.echo(f"{role} is alive")


@click.command(
    short_help="Run one process of the stack, alone, until SIGTERM.",
    help=f"""Run one process of the stack, alone, in the foreground, until SIGTERM.

Each ROLE needs its own extra alone, Kafka (kafka.bootstrap), a folder of its own (stack.var) and, but for gateways, a
store (storage.url). At its port on stack.bind are /healthz, /readyz and, but for admin, /metrics. `homeostat doctor
--role ROLE` names what it lacks.

\b
{listed()}""",
)
@click.argument("role", type=click.Choice(list(ROLES)), metavar="ROLE")
@click.option("--name", default="", help="Which one, where several gateways of a host have one stack.var.")
@CONFIG
def run(role: str, name: str, config_path: Path | None) -> None:
    """Run one process in the foreground."""
    from deploy.roles.run import run as start

    start(role, load(config_path), config_path, name)
