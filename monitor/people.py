"""Who is behind a reply? The end user, else the conversation, where the client named one; an API key is no person.

What one person does, and says of it, tells of that person: it must not count as if many had done it. So tests take what
a person sent in one turn as one step.

>>> person("app/3fa9") == person("app/3fa9") != person("app/77c0"), person("app")
(True, 0)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import TypeVar

from monitor.fingerprint import event_print

UNKNOWN = 0

K = TypeVar("K", bound=Hashable)


@lru_cache(maxsize=4096)
def person(client: str) -> int:
    """A number for the person of a client as events name it, `<key>/<pseudonym>`; `UNKNOWN` for a bare key."""
    return event_print(client) if "/" in client else UNKNOWN


def together(keys: Sequence[K]) -> list[list[int]]:
    """The places of equal keys, in the order in which each came first.

    >>> together(["ann", "bob", "ann"])
    [[0, 2], [1]]
    """
    found: dict[K, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return list(found.values())
