"""The route in force of each alias: the first record of a generation wins. Pure; every reader of routes goes by it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from streams.events import RouteWritten


def supersedes(route: RouteWritten, known: RouteWritten | None) -> bool:
    """Return whether a route that the log has after `known` takes its place: only one of a higher generation does.

    >>> first = RouteWritten(alias="a", generation=2, champion="c", adapters={}, time_ms=0, by="one")
    >>> supersedes(first, None), supersedes(first, first)
    (True, False)
    """
    return known is None or route.generation > known.generation


def effective(routes: Iterable[RouteWritten]) -> Iterator[RouteWritten]:
    """Yield the routes that took effect, of records in the log's order; the others are void."""
    known: dict[str, RouteWritten] = {}
    for route in routes:
        if supersedes(route, known.get(route.alias)):
            known[route.alias] = route
            yield route


def salt_name(salt: str) -> str:
    """Return the name under which ledgers know a salt: it tells two apart, and draws no arm. Empty without one.

    >>> salt_name("a secret") == salt_name("a secret") != salt_name("another"), salt_name("")
    (True, '')
    """
    return hashlib.blake2b(salt.encode(), digest_size=16, person=b"name of a salt").hexdigest() if salt else ""


def without_salt(route: RouteWritten) -> RouteWritten:
    """Return the route with its salt's name in the salt's place: as it may stand where operators look."""
    return replace(route, salt=salt_name(route.salt))


def in_force(routes: Iterable[RouteWritten]) -> dict[str, RouteWritten]:
    """Return each alias's route in force, of records in the log's order."""
    return {route.alias: route for route in effective(routes)}
