"""Which group an event is in by the value of a tag; bounded, whatever clients send.

A value has a group of its own once it came `ADMITTED` times, as long as there is room; until then, and without room,
it is one of `OTHER`. Candidates are counted as Misra and Gries (1982) do: a flood of rare values takes no place.

>>> known, members = grouped(GroupNames(), ["de"] * ADMITTED + ["xx", "", "de"], 4)
>>> members[-4:], known.names
(['de', '(other)', '', 'de'], ('de',))
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

ADMITTED = 20
CANDIDATES = 64  # values counted at once
LONGEST = 64  # characters of a value; longer ones are cut
OTHER = "(other)"
UNTAGGED = ""  # the group of events without the tag: they are no group of their own, and among the others of each group


class GroupNames(msgspec.Struct, frozen=True):
    """Values with a group of their own, in the order of their admission, and how often candidates came."""

    names: tuple[str, ...] = ()
    candidates: dict[str, int] = {}


def grouped(known: GroupNames, values: Sequence[str], most: int) -> tuple[GroupNames, list[str]]:
    """Return each event's group; what was admitted stays so."""
    names, candidates = list(known.names), dict(known.candidates)
    members = []
    for value in values:
        name = value[:LONGEST]
        if name and name not in names and len(names) < most and _counted(candidates, name) >= ADMITTED:
            names.append(name)
            del candidates[name]
        members.append(name if not name or name in names else OTHER)
    return GroupNames(tuple(names), candidates if len(names) < most else {}), members


def _counted(candidates: dict[str, int], name: str) -> int:
    """Return how often it came, or less."""
    if name in candidates or len(candidates) < CANDIDATES:
        candidates[name] = candidates.get(name, 0) + 1
        return candidates[name]
    for each in list(candidates):
        candidates[each] -= 1
        if not candidates[each]:
            del candidates[each]
    return 0
