"""Engines have few slots: the versions that the routes want at once, and those that do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.events import RouteWritten

PARTS = ("champion", "canary", "previous", "shadow")  # in this order they get the slots


@dataclass(frozen=True, slots=True)
class WantedVersion:
    """One version that the routes want of every engine."""

    alias: str
    version: str
    digest: str


def wanted(routes: Mapping[str, RouteWritten], slots: int) -> tuple[list[WantedVersion], list[WantedVersion]]:
    """Return the versions that fit and those that do not: champions first, then canaries, previous ones and shadows."""
    found: dict[str, WantedVersion] = {}
    for part in PARTS:
        for alias in sorted(routes):
            version = getattr(routes[alias], part)
            if version is not None and version in routes[alias].adapters:
                found.setdefault(version, WantedVersion(alias, version, routes[alias].adapters[version]))
    plan = list(found.values())
    return plan[:slots], plan[slots:]


def versions(routes: Iterable[RouteWritten]) -> list[str]:
    """Return every version that these routes name, each once, in order of the names."""
    named = {getattr(route, part) for route in routes for part in PARTS}
    return sorted(version for version in named if version is not None)


def excess(named: Iterable[str], slots: int) -> str:
    """Return why so many versions cannot be served at once; empty where they can.

    >>> excess(["support-0123456789ab"], 4)
    ''
    """
    each = sorted(set(named))
    if len(each) <= slots:
        return ""
    return f"{len(each)} versions are wanted at once, max_loras is {slots}: {', '.join(each)}"


def too_high(rank: int, max_rank: int) -> str:
    """Return why an adapter of this rank cannot be served; empty where it can."""
    return f"its rank is {rank}, max_lora_rank is {max_rank}" if rank > max_rank else ""
