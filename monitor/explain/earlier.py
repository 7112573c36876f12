"""The reference's events as the last ones are kept: what slices are compared with, to tell what always differed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.traits import Traits
from monitor.explain.examples import TENTHS, Seen
from monitor.explain.slices import Member, Valued
from monitor.reference.frozen import event_scores, scorer
from monitor.signals import calibration, safety
from monitor.watch.version import UNLABELLED, WRONG, Watch, calibrated

NOTHING = Traits(0)


def events(watch: Watch) -> list[Seen]:
    """Return them in their order, without ids; none without a reference."""
    known = watch.reference
    if known is None:
        return []
    size, values = len(known.rows), np.asarray(known.rows, dtype=np.float64).reshape(len(known.rows), len(known.names))
    scores = event_scores(scorer(known), values, known.prints, known.times_ms)
    tenths = np.round(scores * TENTHS).astype(np.int64).tolist()
    texts = known.texts or [0] * size
    kinds = watch.traits or [NOTHING] * size
    traits = [msgspec.structs.replace(kind, text=text) for kind, text in zip(kinds, texts, strict=True)]
    times_ms, flags = known.times_ms or [0] * size, safety.crossed(watch.safety, values)
    rows = zip(times_ms, members(watch), _chances(watch), map(tuple, tenths), traits, flags, strict=True)
    return [Seen("", *row) for row in rows]


def members(watch: Watch) -> list[Member]:
    """Return the slices of each; none in a state of an earlier release."""
    return watch.members or [()] * len(watch.labels)


def losses(watch: Watch) -> Valued:
    """Return what the labels of the reference say."""
    pairs = zip(members(watch), watch.labels, strict=True)
    known = [(each, float(label == WRONG)) for each, label in pairs if label != UNLABELLED]
    return Valued([each for each, _ in known], [loss for _, loss in known])


def valued(some: Sequence[Seen], values: Sequence[float]) -> Valued:
    """Return events with these values."""
    return Valued([event.slices for event in some], values)


def _chances(watch: Watch) -> list[float]:
    """Of being right, by the confidence; -1 where there is no estimate."""
    fitted, known = calibrated(watch), watch.reference
    if fitted is None or known is None:
        return [-1.0] * len(watch.labels)
    column = known.names.index(CONFIDENCE[-1])
    confidences = [row[column] for row in known.rows]
    chances = calibration.predict(fitted, confidences)
    return [float(chance) if value <= 0 else -1.0 for chance, value in zip(chances, confidences, strict=True)]
