"""The reference's events as the last ones are kept: what slices are compared with, since some always differed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from monitor.describe.traits import Traits
from monitor.explain.examples import TENTHS, RecentEvent
from monitor.explain.slices import Member
from monitor.reference.frozen import Reference, event_scores, scorer

NOTHING = Traits(0)


def reference_events(
    reference: Reference, members: Sequence[Member] = (), traits: Sequence[Traits] = ()
) -> list[RecentEvent]:
    """Return the events of a reference in their order, without ids, chances and flags. `members`, `traits`: the slices
    and categories of each; a state of an earlier release has none."""
    size = len(reference.rows)
    values = np.asarray(reference.rows, dtype=np.float64).reshape(size, len(reference.names))
    scores = event_scores(scorer(reference), values, reference.prints, reference.times_ms)
    tenths = np.round(scores * TENTHS).astype(np.int64).tolist()
    texts, kinds = reference.texts or [0] * size, traits or [NOTHING] * size
    whole = [msgspec.structs.replace(kind, text=text) for kind, text in zip(kinds, texts, strict=True)]
    rows = zip(reference.times_ms or [0] * size, members or [()] * size, map(tuple, tenths), whole, strict=True)
    return [RecentEvent("", time_ms, slices, -1.0, score, kind) for time_ms, slices, score, kind in rows]
