"""API keys: made, and revoked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deploy.commands.group import CONFIG, load_reached
from deploy.operator.actor import actor

FILE_ALONE = (
    "Nothing was revoked. Until Kafka answers, `revoked = true` in the key's entry of gateway.keys_file does it at the "
    "gateways that read that file."
)


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


@click.command(short_help="Revoke the API key NAME, at every gateway.")
@click.argument("name")
@CONFIG
def revoke(name: str, config_path: Path | None) -> None:
    """Take the API key NAME of gateway.keys_file out of use: every gateway and admin API refuses it within seconds,
    also after restarts, and whatever their files say. Answers that are under way are given. Nothing takes it back:
    `homeostat key` makes another key, which may have the same name."""
    from deploy.stack.broker import KafkaAway

    try:
        config = load_reached(config_path)
    except KafkaAway as error:
        raise KafkaAway(f"{error}\n{FILE_ALONE}") from error
    from deploy.roles.access import given_keys
    from serving.gateway.access import revocations
    from serving.gateway.access.keys import KeyRing

    revocations.revoke(config.kafka, KeyRing(given_keys(config), config.gateway.keys_file).named(name), actor())
    click.echo(f"{name}: revoked; take its entry out of gateway.keys_file")
