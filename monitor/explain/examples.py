"""The last events past the detectors, and the last labels: what an alarm shows of itself.

They tell which slice explains it, name examples, and say which events are worth a label: those of which least is
known, unsure ones and ones unlike the reference. Labels of events chosen so are no fair sample: among unsure answers
more are wrong. So they never count as harm proven (`monitor.watch.labels`); but each is asked about at its own
estimated chance, so they tell at once whether the estimate can be trusted.

>>> lately = [Seen("sure", 1, (), 0.99, (1, -2)), Seen("odd", 2, (), 0.99, (1, 35)), Seen("unsure", 3, (), 0.5, (4, 0))]
>>> informative(lately, most=2)
['unsure', 'odd']
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from monitor.describe.traits import Traits
from monitor.detectors.interface import Change, Floats
from monitor.explain.slices import Explanation, Member, Valued, explaining, named
from monitor.rows import ScoreRows
from monitor.signals.drift import DESCRIPTORS, TEXTS, Found

KEPT = 256
EXAMPLES = 5
ASKED = 20  # events named as worth a label
TENTHS = 10.0  # whole numbers are short in JSON
FAR = 40  # tenths of a sigma beyond which an event is not stranger still


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """An event; `chance` of being right is -1 where nothing was estimated; scores are in tenths of a sigma."""

    id: str
    time_ms: int
    slices: Member
    chance: float
    scores: tuple[int, ...]
    traits: Traits = Traits(0)
    flags: tuple[str, ...] = ()  # lines that the answer crossed (`monitor.signals.safety`)


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A label that was tested."""

    id: str
    time_ms: int  # of the event
    slices: Member
    loss: float


E = TypeVar("E", Seen, Told)


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an alarm: the slice that explains it, of which measure, and examples, the clearest first."""

    slice: Explanation | None
    unknown: list[str]  # slices that stand out, and that the reference hardly knows
    measure: str
    examples: list[str]


def seen(
    names: Sequence[str],
    rows: ScoreRows,
    scores: Floats,
    chances: Sequence[float],
    traits: Sequence[Traits],
    flags: Sequence[tuple[str, ...]],
) -> tuple[list[str], list[Seen]]:
    """Events as they are kept, and the slices' names with the new ones."""
    known, members = named(names, rows.tags or [{}] * len(rows))
    tenths = np.round(scores * TENTHS).astype(np.int64).tolist()
    columns = zip(rows.ids, rows.times_ms, members, chances, map(tuple, tenths), traits, flags, strict=True)
    return known, [Seen(*values) for values in columns]


def kept(older: Sequence[E], newer: Iterable[E]) -> list[E]:
    """The last of both."""
    both = list(older)
    both.extend(newer)
    return both[-KEPT:]


def story(
    names: Sequence[str],
    events: Sequence[E],
    values: Sequence[float],
    before: Valued,
    *,
    since_ms: int,
    measure: str,
) -> Story:
    """Of the events since the onset, by a value that is high where the alarm is right. `before`: of the reference."""
    chosen = [k for k, event in enumerate(events) if event.time_ms >= since_ms]
    found = explaining(names, Valued([events[k].slices for k in chosen], [values[k] for k in chosen]), before)
    best = found.best
    inside = [k for k in chosen if best is None or names.index(best.name) in events[k].slices]
    ranked = sorted(inside, key=lambda k: (-values[k], -k))[:EXAMPLES]
    examples = [events[k].id for k in ranked if values[k] > 0]
    return Story(slice=best, unknown=found.unknown, measure=measure, examples=examples)


def speaking(
    found: Found, names: Sequence[str], events: Sequence[Seen], now: Sequence[Seen] | None = None
) -> tuple[list[float], str]:
    """How far each event speaks for a drift, and what that measures. `names`: of the descriptors. `now`: the events of
    this time, where these are of another."""
    if found.part == DESCRIPTORS:
        return _moved(found.change, names[found.change.column], events)
    if found.part == TEXTS:
        return _alike(events, now or events), "likeness to the texts of this time"
    category = found.each[found.change.column][0].partition("=")[2]
    known = {name.partition("=")[2] for name, _ in found.each}
    hits = [_is(event.traits.category(found.part), category, known) for event in events]
    if found.change.what.endswith("seldom"):
        return [1.0 - hit for hit in hits], f"share of other {found.part}s than {category}"
    return hits, f"share of the {found.part} {category or 'that the reference lacks'}"


def _moved(change: Change, name: str, events: Sequence[Seen]) -> tuple[list[float], str]:
    scores = [event.scores[change.column] / TENTHS for event in events]
    if "(spread" in change.what:
        return [score * score for score in scores], f"squared score of {name}"
    sign = -1.0 if "(mean -" in change.what else 1.0
    return [sign * score for score in scores], f"score of {name}" + (", turned round" if sign < 0 else "")


def _alike(events: Sequence[Seen], now: Sequence[Seen]) -> list[float]:
    """Share of the fingerprint's bits in which each text is as most of this time are."""
    likeness: list[float] = (_bits(events) == (_bits(now).mean(axis=0) >= 0.5)).mean(axis=1).tolist()
    return likeness


def _bits(events: Sequence[Seen]) -> Floats:
    bits = [[event.traits.text >> bit & 1 for bit in range(64)] for event in events]
    return np.array(bits, dtype=np.float64).reshape(len(events), 64)


def _is(value: str, category: str, known: Collection[str]) -> float:
    return float(value == category if category else bool(value) and value not in known)


def informative(events: Sequence[Seen], *, most: int = ASKED) -> list[str]:
    """The ids of at most so many events, the most informative first; of two alike the newer one."""
    ranked = sorted(range(len(events)), key=lambda k: (-_interest(events[k]), -k))
    return [events[k].id for k in ranked[:most]]


def _interest(event: Seen) -> float:
    """How unsure (0 to 1) plus half of how strange (0 to 1)."""
    unsure = 4.0 * event.chance * (1.0 - event.chance) if event.chance >= 0.0 else 0.0
    return unsure + 0.5 * min(max(map(abs, event.scores), default=0), FAR) / FAR
