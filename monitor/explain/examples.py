"""The last events past the detectors, and the last labels: what an alarm shows of itself.

An alarm names the slice that explains it, examples, and the events that are worth a label: those of which least is
known, unsure ones and ones unlike the reference. Labels of events chosen so are no fair sample: among unsure answers
more are wrong. So they never count as harm proven (`monitor.watch.labels`); but each is compared with its own estimated
chance, so they show at once whether the estimate can be trusted.

>>> sure, odd = RecentEvent("sure", 1, (), 0.99, (1, -2)), RecentEvent("odd", 2, (), 0.99, (1, 35))
>>> events = [sure, odd, RecentEvent("unsure", 3, (), 0.5, (4, 0))]
>>> informative(events, most=2)
['unsure', 'odd']
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from monitor.describe.traits import Traits
from monitor.detectors.interface import Floats
from monitor.explain.slices import Member, SliceContrast, Valued, explaining, named
from monitor.rows import ScoreRows

KEPT = 256
EXAMPLES = 5
ASKED = 20  # events named as worth a label
TENTHS = 10.0  # whole numbers are short in JSON
FAR = 40  # tenths of a sigma beyond which an event is not stranger still


class RecentEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event; `chance` is 1 less its estimated loss, -1 where there is none; scores are in tenths of a sigma."""

    id: str
    time_ms: int
    slices: Member
    chance: float
    scores: tuple[int, ...]
    traits: Traits = Traits(0)
    flags: tuple[str, ...] = ()  # lines that the answer crossed (`monitor.signals.safety`)


class LabelledEvent(msgspec.Struct, frozen=True, array_like=True):
    """A label that was tested."""

    id: str
    time_ms: int  # of the event
    slices: Member
    loss: float


E = TypeVar("E", RecentEvent, LabelledEvent)


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The slice that explains an alarm, by which measure, and examples, the clearest first."""

    slice: SliceContrast | None
    unknown: list[str]  # slices that stand out, and that the reference hardly knows
    measure: str
    examples: list[str]


def recent_events(
    names: Sequence[str],
    rows: ScoreRows,
    scores: Floats,
    chances: Sequence[float],
    traits: Sequence[Traits],
    flags: Sequence[tuple[str, ...]],
) -> tuple[list[str], list[RecentEvent]]:
    """Return events as they are kept, and the slices' names with the new ones."""
    known, members = named(names, rows.tags or [{}] * len(rows))
    tenths = np.round(scores * TENTHS).astype(np.int64).tolist()
    columns = zip(rows.ids, rows.times_ms, members, chances, map(tuple, tenths), traits, flags, strict=True)
    return known, [RecentEvent(*values) for values in columns]


def kept(older: Sequence[E], newer: Iterable[E]) -> list[E]:
    """Return the last of both."""
    both = list(older)
    both.extend(newer)
    return both[-KEPT:]


def explain(
    names: Sequence[str],
    events: Sequence[E],
    values: Sequence[float],
    before: Valued,
    *,
    since_ms: int,
    measure: str,
) -> Explanation:
    """Explain an alarm by the events since its onset, each with a value that is high where the alarm is right.
    `before`: events of the reference."""
    chosen = [k for k, event in enumerate(events) if event.time_ms >= since_ms]
    found = explaining(names, Valued([events[k].slices for k in chosen], [values[k] for k in chosen]), before)
    best = found.best
    inside = [k for k in chosen if best is None or names.index(best.name) in events[k].slices]
    ranked = sorted(inside, key=lambda k: (-values[k], -k))[:EXAMPLES]
    examples = [events[k].id for k in ranked if values[k] > 0]
    return Explanation(slice=best, unknown=found.unknown, measure=measure, examples=examples)


def informative(events: Sequence[RecentEvent], *, most: int = ASKED) -> list[str]:
    """Return the ids of at most so many events, the most informative first; of two alike the newer one."""
    ranked = sorted(range(len(events)), key=lambda k: (-_interest(events[k]), -k))
    return [events[k].id for k in ranked[:most]]


def _interest(event: RecentEvent) -> float:
    """Return how unsure (0 to 1) plus half of how strange (0 to 1)."""
    unsure = 4.0 * event.chance * (1.0 - event.chance) if event.chance >= 0.0 else 0.0
    return unsure + 0.5 * min(max(map(abs, event.scores), default=0), FAR) / FAR
