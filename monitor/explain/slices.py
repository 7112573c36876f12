"""Slices of traffic: the events that carry the same value of a tag. Which of them explains what was found?

Each is compared with itself in the reference: tickets of one tenant may always have been longer, and of one language
more often wrong. A slice that the reference hardly knows cannot be blamed; it is named as unknown.

>>> names, members = named([], [{"language": "de"}, {"language": "en"}, {}])
>>> names, members
(['language=de', 'language=en'], [(0,), (1,), ()])
>>> rng = np.random.default_rng(0)
>>> members = [(k % 2,) for k in range(100)]
>>> now = Valued(members, [rng.normal(2.0 * (k % 2 == 0)) for k in range(100)])
>>> best = explaining(names, now, Valued(members, rng.normal(size=100))).best
>>> best.name, best.events, round(best.mean, 1), round(best.elsewhere, 1)
('language=de', 50, 2.0, 0.2)
>>> explaining(names, now, now).best, explaining(names, now, Valued([], []))
(None, SliceFindings(best=None, unknown=['language=de']))
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from monitor.detectors.interface import Floats

MOST = 48  # slices known by name; values of a tag that come later are none
LONGEST, LONGEST_TAG = 64, 24  # characters of a name, and of the tag in one that is cut
FEWEST = 8  # events in a slice, and outside of it, now and in the reference, before it explains anything
MOST_UNKNOWN = 3
CLEAR = 3.5  # standard errors between a slice and the rest: chance gives that to one of 48 slices in a hundred alarms

Member = tuple[int, ...]  # the slices an event is in, by their place among the names


class SliceContrast(msgspec.Struct, frozen=True, kw_only=True):
    """The slice that has moved away from the rest most, where that is beyond chance."""

    name: str  # tag=value
    events: int
    share: float  # of the events looked at
    mean: float
    elsewhere: float
    before: float  # mean in the reference
    elsewhere_before: float
    errors: float  # standard errors of how much further the two are apart than before


class SliceFindings(msgspec.Struct, frozen=True, kw_only=True):
    """`best`: the slice that explains it, None where none is clear. `unknown`: slices that stand out now and of which
    the reference holds too few to say whether they always did, those that stand out most first."""

    best: SliceContrast | None = None
    unknown: list[str] = []


@dataclass(frozen=True, slots=True)
class Valued:
    """Events: the slices that each is in, and a value for each."""

    members: Sequence[Member]
    values: Sequence[float]

    def parted(self, slice: int) -> tuple[Floats, Floats]:
        """Return the values in a slice, and outside of it."""
        inside = np.array([slice in each for each in self.members], dtype=bool)
        values = np.asarray(self.values, dtype=np.float64)
        return values[inside], values[~inside]


def named(names: Sequence[str], tags: Sequence[Mapping[str, str]]) -> tuple[list[str], list[Member]]:
    """Return the names with the new ones of these events, as long as there is room, and each event's slices."""
    known = {name: i for i, name in enumerate(names)}
    members: list[Member] = []
    for each in tags:
        mine = []
        for key, value in each.items():
            name = slice_name(key, value)
            if name not in known and len(known) < MOST:
                known[name] = len(known)
            if name in known:
                mine.append(known[name])
        members.append(tuple(sorted(mine)))
    return list(known), members


def slice_name(tag: str, value: str) -> str:
    """Return tag=value. A long one is cut and ends with a digest of the whole: two that begin alike stay two.

    >>> slice_name("language", "de"), slice_name("tenant", 60 * "a")[-20:], slice_name("tenant", 61 * "a")[-20:]
    ('language=de', 'aaaaaaaaaaa~86cee501', 'aaaaaaaaaaa~4fc6bd17')
    """
    name = f"{tag}={value}"
    if len(name) <= LONGEST:
        return name
    end = f"~{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"
    return f"{tag[:LONGEST_TAG]}={value}"[: LONGEST - len(end)] + end


def explaining(names: Sequence[str], now: Valued, before: Valued) -> SliceFindings:
    """Return the slice whose values have risen furthest above all others' since the reference: the difference between
    the two now, less the one before, in its standard errors. A slice that always differed explains nothing."""
    best: SliceContrast | None = None
    unknown: list[tuple[float, str]] = []
    for i in sorted({i for each in now.members for i in each}):
        here, there = now.parted(i)
        if min(len(here), len(there)) < FEWEST:
            continue
        earlier = before.parted(i)
        if min(map(len, earlier)) < FEWEST:
            if (errors := _gap(here, there) / _error(here, there)) >= CLEAR:
                unknown.append((errors, names[i]))
        elif (each := _compared(names[i], (here, there), earlier)).errors >= max(CLEAR, best.errors if best else 0.0):
            best = each
    return SliceFindings(best=best, unknown=[name for _, name in sorted(unknown, reverse=True)[:MOST_UNKNOWN]])


def _compared(name: str, now: tuple[Floats, Floats], before: tuple[Floats, Floats]) -> SliceContrast:
    moved = _gap(*now) - _gap(*before)
    return SliceContrast(
        name=name,
        events=len(now[0]),
        share=round(len(now[0]) / (len(now[0]) + len(now[1])), 4),
        mean=round(float(now[0].mean()), 4),
        elsewhere=round(float(now[1].mean()), 4),
        before=round(float(before[0].mean()), 4),
        elsewhere_before=round(float(before[1].mean()), 4),
        errors=round(moved / math.hypot(_error(*now), _error(*before)), 2),
    )


def _gap(here: Floats, there: Floats) -> float:
    return float(here.mean() - there.mean())


def _error(here: Floats, there: Floats) -> float:
    """Return the standard error of the gap (Welch)."""
    return math.sqrt(_variance(here) / len(here) + _variance(there) / len(there))


def _variance(values: Floats) -> float:
    """Return the variance with two more values, one far out on each side: a few equal ones do not say that all others
    are equal too."""
    spread = max(1.0, float(np.ptp(values))) / 2.0
    centre = float(values.mean())
    return float((((values - centre) ** 2).sum() + 2.0 * spread**2) / (len(values) + 1))
