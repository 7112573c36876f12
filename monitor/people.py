"""Who is behind a reply? The end user, else the conversation, where the client named one; an API key is no person.

What one person does, and says of it, tells of that person: it must not count as if many had done it. So tests take what
a person sent in one turn as one step.

>>> person("app/3fa9") == person("app/3fa9") != person("app/77c0"), person("app")
(True, 0)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import TypeVar

from monitor.fingerprint import event_print

UNKNOWN = 0
STRETCH_MS = 60_000

K = TypeVar("K", bound=Hashable)


@lru_cache(maxsize=4096)
def person(client: str) -> int:
    """A number for the person of a client as events name it, `<key>/<pseudonym>`; `UNKNOWN` for a bare key."""
    return event_print(client) if "/" in client else UNKNOWN


@lru_cache(maxsize=4096)
def witness(client: str, time_ms: int) -> int:
    """A number for who was behind a reply, as far as anything shows that it was somebody else: the person; of a bare
    key whoever used it in that minute, for nothing shows that they were two.

    >>> witness("app/3fa9", 1) == witness("app/3fa9", 90_000), witness("app", 1) == witness("app", 59_999)
    (True, True)
    >>> witness("app", 1) == witness("app", 90_000)
    False
    """
    return person(client) or event_print(f"{client}\0{time_ms // STRETCH_MS}")


def crowd(people: Sequence[int]) -> int:
    """Return who is behind more than half of these replies, `UNKNOWN` where nobody is. Such a one is no person: an
    application names itself, or its only tenant, in the place of its users.

    >>> crowd([7, 7, 8]), crowd([7, 7, 8, 9]), crowd([UNKNOWN, UNKNOWN, 7])
    (7, 0, 0)
    """
    most, times = Counter(people).most_common(1)[0] if people else (UNKNOWN, 0)
    return most if 2 * times > len(people) else UNKNOWN


def bare(client: str) -> str:
    """Return the key of a client alone."""
    return client.partition("/")[0]


def together(keys: Sequence[K]) -> list[list[int]]:
    """The places of equal keys, in the order in which each came first.

    >>> together(["ann", "bob", "ann"])
    [[0, 2], [1]]
    """
    found: dict[K, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return list(found.values())
