"""People forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.commands.group import CONFIG, load

if TYPE_CHECKING:
    from deploy.operator.erasure.forgetting import FoundCounts, NamedPerson
    from deploy.operator.erasure.order import ErasureOrder
    from deploy.operator.erasure.rounds import ErasurePlaces
    from streams.objects.store import ObjectStore


@click.command(short_help="Delete what a client or a user sent.")
@click.option("--client", help="An API key's id: all its users too; KEY/PSEUDONYM: one user of it.")
@click.option("--user", help="A user as clients named it; with --client, of that key only.")
@click.option("--conversation", help="Likewise a conversation.")
@click.option("--dry-run", is_flag=True, help="Count what would go, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--list", "listed", is_flag=True, help="Show the orders, of this person if one is named.")
@click.option("--show", "shown", metavar="ID", help="Show an order's record; the beginning of its id will do.")
@click.option("--again", is_flag=True, help="Repeat the open orders: late rows and old files go, orders end.")
@CONFIG
def forget(
    client: str | None,
    user: str | None,
    conversation: str | None,
    dry_run: bool,
    yes: bool,
    listed: bool,
    shown: str | None,
    again: bool,
    config_path: Path | None,
) -> None:
    """Delete what a client or a user sent until now: replies and labels, rows of datasets, pages of alarms.

    Writes a record that says what went, which adapters have seen it, and when the last byte goes. Killed, give it
    again. Exit 2 where something is left for another round, or an order cannot be read."""
    from deploy.operator.erasure import forgetting
    from deploy.operator.erasure.order import order_of

    _check({"--client": client, "--user": user, "--conversation": conversation, "--show": shown})
    someone = client or user or conversation
    if again and (someone or dry_run or listed or shown):
        raise click.UsageError(
            "--again repeats all open orders: expected no person, no --dry-run, no --list and no --show with it"
        )
    if shown and (someone or dry_run or listed):
        raise click.UsageError("--show shows one order: expected no person, no --dry-run and no --list with it")
    config = load(config_path)
    places = forgetting.erasure_places(config)
    store = places.trees.store
    if again:
        _end(forgetting.resume(places), none="no order is open")
        return
    if shown:
        _end(order_of(store, each) for each in [shown])
        return
    person = None
    if someone or not listed:
        person = forgetting.named(config, client or "", user or "", conversation or "")
    if listed:
        _list(store, person)
        return
    assert person is not None
    if dry_run or not yes:
        _count(forgetting.preview(person, places))
    if dry_run:
        return
    if not yes:
        click.confirm("Delete this for good?", abort=True)
    _end(_forgotten(person, places))


def _check(given: dict[str, str | None]) -> None:
    """Raise BadParameter for an empty name: a script's variable that is not set must not name all of a key's users."""
    for option, name in given.items():
        if name is not None and not name.strip():
            raise click.BadParameter(f"{option} is {name!r}, expected a name; leave the option out for all")


def _list(store: ObjectStore, person: NamedPerson | None) -> None:
    from deploy.operator.erasure.account import headline
    from deploy.operator.erasure.order import orders

    found = orders(store)
    for record in found.readable:
        if person is None or person.is_of(record.order):
            click.echo(headline(record.order))
    if _names(found.damaged):
        raise SystemExit(2)


def _forgotten(person: NamedPerson, places: ErasurePlaces) -> Iterator[ErasureOrder]:
    """Yield the person's order. Raise OrderDamaged where that cannot be gone on with, or another cannot be read: it may
    be about the same person."""
    from deploy.operator.erasure import forgetting
    from deploy.operator.erasure.order import orders

    yield forgetting.forget(person, places)
    if damaged := orders(places.trees.store).damaged:
        raise forgetting.together(damaged)


def _end(found: Iterator[ErasureOrder], none: str = "") -> None:
    """Print each order's record. Exit 2 where something is left for another round that could have gone, or an order
    cannot be read."""
    from deploy.operator.erasure.order import OrderDamaged

    left: list[bool] = []
    try:
        left.extend(map(_shown, found))
    except OrderDamaged as error:
        left.append(_names([error]))
    if not left:
        click.echo(none)
    if any(left):
        raise SystemExit(2)


def _shown(order: ErasureOrder) -> bool:
    """Print what an order did; return whether something is left."""
    from deploy.operator.erasure.account import account, left

    for line in account(order):
        click.echo(line)
    for what in left(order):
        click.echo(f"  still to do: {what}; give `homeostat forget --again`", err=True)
    return bool(left(order))


def _names(damaged: Sequence[Exception]) -> bool:
    """Print which orders cannot be read; return whether there are such."""
    for error in damaged:
        click.echo(f"an order waits: {error}", err=True)
    return bool(damaged)


def _count(found: FoundCounts) -> None:
    for what, days in (("replies", found.replies), ("labels", found.labels)):
        click.echo(f"{sum(days.values())} {what} on {len(days)} days")
        for day, count in days.items():
            click.echo(f"  {day}  {count}")
    click.echo(f"{len(found.datasets)} datasets with such rows, {len(found.reports)} pages of alarms")
