"""Categories and texts that come in lumps: of one conversation, of one kind of question after the other.

Descriptors say how long the blocks are in which events are judged (`monitor.detectors.blocks`); they need not know of
such lumps. Taken for independent, answers in runs of five bring ten thousand events between false alarms down to a few
hundred. So each part's own indicators say how many of its events count as one that came alone.

>>> events = [Traits(0, ("card", "refund")[k // 10 * 7 % 11 % 2], "stop") for k in range(1_000)]
>>> found = lumps(events)
>>> sorted(found), found["answer"] > 3.0
(['answer'], True)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.describe.traits import Traits
from monitor.detectors.blocks import Ints, averages, choose_length, inflation, many_errors
from monitor.detectors.interface import Floats
from monitor.reference.swings import indicators

SURE = 3.0  # standard errors beyond what is tolerated: the most of many columns is looked at


def lumps(events: Sequence[Traits], places: Sequence[int] = ()) -> dict[str, float]:
    """Return of each of the events' columns, and of their texts, how many events count for one; what comes as if
    independent is left out. `places`: of the events in the stream, where some were left out in between."""
    at = np.asarray(places, dtype=np.int64) if len(places) else np.arange(len(events))
    found = {name: _together(values, at) for name, values in indicators(events).items() if values.size}
    return {name: together for name, together in found.items() if together > 1.0}


def _together(values: Floats, at: Ints) -> float:
    """Of the most dependent column: how many times more a long sum of it varies than one of independent events."""
    length = choose_length(values, at)
    means, numbers = averages(values, length, at)
    power = np.maximum(values.var(axis=0), 1e-300)
    most = float((length * means.var(axis=0) / power * inflation(means, numbers)).max(initial=1.0))
    return round(most, 4) if most > many_errors(len(values), SURE) else 1.0
