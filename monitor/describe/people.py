"""Who is behind a reply? The end user, else the conversation, where the client named one; an API key is no person.

The replies and labels of one person are evidence about that person: they must not count as if many had sent them. So
tests take what a person sent in one turn as one step.

>>> person("app/3fa9") == person("app/3fa9") != person("app/77c0"), person("app")
(True, 0)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import TypeVar

from monitor.describe.fingerprint import event_print

UNKNOWN = 0
STRETCH_MS = 60_000
FEWEST = 3  # people who use an application

K = TypeVar("K", bound=Hashable)


@lru_cache(maxsize=4096)
def person(client: str) -> int:
    """Return a number for the person of a client as events name it, `<key>/<pseudonym>`; `UNKNOWN` for a bare key."""
    return event_print(client) if "/" in client else UNKNOWN


@lru_cache(maxsize=4096)
def witness(client: str, time_ms: int) -> int:
    """Return a number for who was behind a reply, as far as anything shows that people differ: the person; of a
    bare key the users of that minute together, for nothing shows that they were two.

    >>> witness("app/3fa9", 1) == witness("app/3fa9", 90_000), witness("app", 1) == witness("app", 59_999)
    (True, True)
    >>> witness("app", 1) == witness("app", 90_000)
    False
    """
    return person(client) or event_print(f"{client}\0{time_ms // STRETCH_MS}")


def crowds(people: Sequence[int]) -> list[int]:
    """Return who of those behind these replies is no person: who is behind more than half of them, and all where they
    are fewer than `FEWEST`. An application names itself, or its tenants, in the place of its users.

    >>> crowds([7, 7, 8, UNKNOWN]), crowds([7, 7, 7, 8, 9]), crowds([7, 8]), crowds([UNKNOWN, UNKNOWN, 7])
    ([], [7], [7, 8], [])
    """
    counts = Counter(people)
    named = [who for who in counts if who != UNKNOWN]
    if len(named) == len(counts) < FEWEST:
        return named
    return [who for who in named if 2 * counts[who] > len(people)]


def bare(client: str) -> str:
    """Return the key of a client alone."""
    return client.partition("/")[0]


def together(keys: Sequence[K]) -> list[list[int]]:
    """Return the places of equal keys, in the order in which each came first.

    >>> together(["ann", "bob", "ann"])
    [[0, 2], [1]]
    """
    found: dict[K, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return list(found.values())
