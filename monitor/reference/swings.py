"""Categories and texts that swing with day or week. No detector models that, so no bet is made on what shows it.

A descriptor's rhythm is taken off its scores (`monitor.reference.seasonality`). The share of an answer, or the mixture
of texts, of an evening is not that of a morning either; taken for one and the same, ten thousand events between false
alarms became a few hundred. What swings is found as descriptors' rhythm is, in the indicators of each category, and in
the bits and the main directions of fingerprints.

>>> events = [Traits(0, "card" if k % 8 < 4 else "refund", "stop") for k in range(400)]
>>> swinging(events, [k * 10_800_000 for k in range(400)])
['answer']
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.describe.traits import COLUMNS, TEXT, Traits, counted
from monitor.detectors.interface import Floats
from monitor.reference.seasonality import find

LEAST = 20  # events of a category; fewer show no rhythm
DIRECTIONS = 8  # of the fingerprints: a swing of topics is spread over many bits


def swinging(events: Sequence[Traits], times_ms: Sequence[int]) -> list[str]:
    """Return which of the events' `COLUMNS`, and whether their texts, show a rhythm of day or week."""
    if not events or len(events) != len(times_ms):
        return []
    of_each = indicators(events)
    return [name for name in (*COLUMNS, TEXT) if name in of_each and find(of_each[name], times_ms).waves]


def indicators(events: Sequence[Traits]) -> dict[str, Floats]:
    """Return what is looked at of each of the events' columns, and of their texts, one row for each event."""
    if not events:
        return {}
    found = {name: _indicators(events, name, counts) for name, counts in counted(events).items()}
    return found | {TEXT: _directions([event.text for event in events])}


def _indicators(events: Sequence[Traits], name: str, counts: dict[str, int]) -> Floats:
    """Shape (events, categories): 1 where an event is of it. Of one of two the other adds nothing."""
    values = np.array([event.category(name) for event in events])
    common = [category for category, count in counts.items() if LEAST <= count <= len(events) - LEAST]
    found: Floats = (values[:, None] == np.array(common, dtype=values.dtype)[None]).astype(np.float64)
    return found


def _directions(texts: Sequence[int]) -> Floats:
    """Shape (events, bits that vary + directions)."""
    octets = np.array(texts, dtype=">u8").view(np.uint8).reshape(len(texts), 8)
    signs = np.unpackbits(octets, axis=1).astype(np.float64) * 2.0 - 1.0
    centred: Floats = (signs - signs.mean(axis=0))[:, signs.std(axis=0) > 0.0]
    if not centred.shape[1]:
        return centred
    _, main = np.linalg.eigh(centred.T @ centred)
    return np.concatenate((centred, centred @ main[:, -DIRECTIONS:]), axis=1)
