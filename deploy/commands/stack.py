"""The stack on this machine, and its processes."""

from __future__ import annotations

from pathlib import Path

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
