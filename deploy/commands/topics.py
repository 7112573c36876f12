"""Topics: what there should be at the brokers, and those whose offsets the lake and the judge know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deploy.commands.group import CONFIG, Ordered, load, load_reached

ACCOUNT = click.option(
    "--account",
    default="homeostat-{role}",
    show_default=True,
    help="The user that a role is at the brokers; {role} stands for the role.",
)


def _roles(command: Callable[..., Any]) -> Callable[..., Any]:
    """Take the option --role; without it the command is for all roles."""

    def known(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
        from deploy.operator.topics.access import roles

        if unknown := sorted(set(given) - set(roles())):
            raise click.BadParameter(f"{unknown[0]!r}, expected some of {', '.join(roles())}")
        return given or tuple(roles())

    helped = "Only of this role; may be given several times."
    return click.option("--role", "roles", multiple=True, callback=known, help=helped)(command)


@click.group(cls=Ordered, short_help="Topics: plan, apply, check, list, accept.")
def topics() -> None:
    """Make topics at the brokers as they should be; accept those that were created again."""


@topics.command(name="plan", short_help="What `apply` would do; or access lists, or resources for Strimzi.")
@click.option("--acls", is_flag=True, help="Print the access list of each role, as kafka-acls commands.")
@click.option("--strimzi", is_flag=True, help="Print topics and users as Strimzi's resources, in YAML.")
@click.option("--cluster", default="kafka", show_default=True, help="The name of Strimzi's Kafka resource.")
@click.option(
    "--authentication",
    type=click.Choice(["scram-sha-512", "tls", "tls-external"]),
    default="scram-sha-512",
    show_default=True,
    help="How Strimzi's users show who they are.",
)
@_roles
@ACCOUNT
@CONFIG
def topics_plan(
    acls: bool,
    strimzi: bool,
    cluster: str,
    authentication: str,
    roles: tuple[str, ...],
    account: str,
    config_path: Path | None,
) -> None:
    """Print what `homeostat topics apply` would do: topics to create, partitions to add, settings to change.

    With --acls or --strimzi no broker is asked: they print what the brokers' owner may apply."""
    from deploy.operator.topics import shaping

    if acls:
        for each in shaping.acl_commands(load(config_path), roles, account):
            click.echo(each)
    if strimzi:
        click.echo(shaping.resources(load(config_path), cluster, roles, account, authentication), nl=False)
    if acls or strimzi:
        return
    for each in shaping.plan(load_reached(config_path)) or ["nothing to do"]:
        click.echo(each)


@topics.command(name="apply", short_help="Create and change topics until they are as the settings want them.")
@click.option("--acls", is_flag=True, help="Create the access list of each role, too.")
@_roles
@ACCOUNT
@CONFIG
def topics_apply(acls: bool, roles: tuple[str, ...], account: str, config_path: Path | None) -> None:
    """Create and change topics until they are as the settings want them; exit 1 where something remains that only the
    brokers' own tools can do."""
    from deploy.operator.topics import shaping

    config = load_reached(config_path)
    done, left = shaping.apply(config)
    for each in [*done, *(shaping.allow(config, roles, account) if acls else [])] or ["nothing to do"]:
        click.echo(each)
    for each in left:
        click.echo(each, err=True)
    if left:
        raise click.exceptions.Exit(1)


@topics.command(name="check", short_help="Each difference from the settings; exit 1 where there is one.")
@click.option("--as", "role", default="", metavar="ROLE", help="Also what hinders it.")
@CONFIG
def topics_check(role: str, config_path: Path | None) -> None:
    """Print each difference between the topics and the settings; exit 1 where there is one.

    With --as ROLE also what that role would name when it starts: settings with which it cannot work, and what its
    account may not do."""
    from deploy.operator.topics import shaping
    from streams.log.fitness.needs import NEEDS

    if role and role not in NEEDS:
        raise click.BadParameter(f"{role!r}, expected one of {', '.join(NEEDS)}", param_hint="--as")
    config = load_reached(config_path)
    found = shaping.hindrances(config, role) if role else shaping.differences(config)
    for each in found or ["as they should be"]:
        click.echo(each)
    if found:
        raise click.exceptions.Exit(1)


@topics.command(name="list", short_help="The topics that the lake knows, and whether one was created again.")
@CONFIG
def topics_list(config_path: Path | None) -> None:
    """List the topics that the lake knows, with their ids, and whether one was created again."""
    from deploy.operator import topic_renewal as renewal

    for each in renewal.every(load_reached(config_path)):
        click.echo(each)


@topics.command(name="accept", short_help="Go on with TOPIC, which was deleted and created again.")
@click.argument("topic")
@CONFIG
def topics_accept(topic: str, config_path: Path | None) -> None:
    """Go on with TOPIC, which was deleted and created again.

    Until then the worker takes nothing: offsets of the new topic would be mistaken for those of the old one. The lake
    keeps the old rows, and the new topic is read and judged from its beginning."""
    from deploy.operator import topic_renewal as renewal

    click.echo(renewal.accept(load_reached(config_path), topic))
