"""Slices of traffic: the events that carry the same value of a tag. Which of them explains what was found?

>>> names, members = named([], [{"language": "de"}, {"language": "en"}, {}])
>>> names, members
(['language=de', 'language=en'], [(0,), (1,), ()])
>>> rng = np.random.default_rng(0)
>>> members = [(k % 2,) for k in range(100)]
>>> best = explaining(names, members, [rng.normal(2.0 * (k % 2 == 0)) for k in range(100)])
>>> best.name, best.events, round(best.mean, 1), round(best.elsewhere, 1)
('language=de', 50, 2.0, 0.2)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from monitor.detectors.interface import Floats

MOST = 48  # slices known by name; values of a tag that come later are none
LONGEST = 64  # characters of a name
FEWEST = 8  # events in a slice, and outside of it, before it explains anything
CLEAR = 3.5  # standard errors between a slice and the rest: chance gives that to one of 48 slices in a hundred alarms

Member = tuple[int, ...]  # the slices an event is in, by their place among the names


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The slice that differs most from the rest, where it differs beyond chance."""

    name: str  # tag=value
    events: int
    share: float  # of the events looked at
    mean: float
    elsewhere: float
    errors: float  # standard errors between the two


def named(names: Sequence[str], tags: Sequence[Mapping[str, str]]) -> tuple[list[str], list[Member]]:
    """The names with the new ones of these events, as long as there is room, and each event's slices."""
    known = {name: i for i, name in enumerate(names)}
    members: list[Member] = []
    for each in tags:
        mine = []
        for key, value in each.items():
            name = f"{key}={value}"[:LONGEST]
            if name not in known and len(known) < MOST:
                known[name] = len(known)
            if name in known:
                mine.append(known[name])
        members.append(tuple(sorted(mine)))
    return list(known), members


def explaining(names: Sequence[str], members: Sequence[Member], values: Sequence[float]) -> Explanation | None:
    """The slice whose values lie furthest above all others', by Welch's statistic; None where none is clear."""
    array = np.asarray(values, dtype=np.float64)
    found = [_compared(names[i], _inside(members, i), array) for i in sorted({i for each in members for i in each})]
    clear = [each for each in found if each is not None and each.errors >= CLEAR]
    return max(clear, key=lambda each: each.errors, default=None)


def _inside(members: Sequence[Member], slice: int) -> Floats:
    return np.array([slice in each for each in members], dtype=np.float64)


def _compared(name: str, inside: Floats, values: Floats) -> Explanation | None:
    here, there = values[inside > 0], values[inside == 0]
    if min(len(here), len(there)) < FEWEST:
        return None
    variance = _variance(here) / len(here) + _variance(there) / len(there)
    mean, elsewhere = float(here.mean()), float(there.mean())
    return Explanation(
        name=name,
        events=len(here),
        share=round(len(here) / len(values), 4),
        mean=round(mean, 4),
        elsewhere=round(elsewhere, 4),
        errors=round((mean - elsewhere) / float(np.sqrt(variance)), 2),
    )


def _variance(values: Floats) -> float:
    """With two more values, one far out on each side: a few equal ones do not say that all others are equal too."""
    spread = max(1.0, float(np.ptp(values))) / 2.0
    centre = float(values.mean())
    return float((((values - centre) ** 2).sum() + 2.0 * spread**2) / (len(values) + 1))
