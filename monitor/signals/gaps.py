"""How the groups compare with the rest, for windows and pages: each with its gap and an interval.

The interval is a confidence sequence by betting (Waudby-Smith and Ramdas 2024, `monitor.detectors.paired`): it holds
whenever it is looked at. Its state is how often each difference came; differences are in tenths.

>>> from monitor.signals.comparison import Outcomes, State, follow
>>> tags = [{"language": "de" if k % 2 else "en"} for k in range(400)]
>>> seen = Outcomes([str(k) for k in range(400)], list(range(400)), tags, [float(k % 2) for k in range(400)])
>>> first, _ = report(Fairness(), follow(Fairness(), State(), "quality", seen)[0])
>>> first.value, first.pairs, first.mean, first.low > 0.9
('de', 181, 1.0, True)
"""

from __future__ import annotations

import math

from monitor.detectors import paired
from monitor.findings import Gap
from monitor.settings import Fairness
from monitor.signals.comparison import ComparedGroup, State


def report(settings: Fairness, state: State) -> list[Gap]:
    """Return how the groups compare, those with pairs enough, by tag, value and measure."""
    gaps = [
        _gap(settings, (key, value, measure), group)
        for measure, keys in state.measures.items()
        for key, compared in keys.items()
        for value, group in compared.groups.items()
        if sum(group.times.values()) >= settings.least
    ]
    return sorted(gaps, key=lambda gap: (gap.key, gap.value, gap.measure))


def _gap(settings: Fairness, name: tuple[str, str, str], group: ComparedGroup) -> Gap:
    key, value, measure = name
    pairs = sum(group.times.values())
    total = math.fsum(float(difference) * count for difference, count in group.times.items())
    low, high = paired.bounds(group.times, settings.alpha)
    return Gap(
        key=key,
        value=value,
        measure=measure,
        pairs=pairs,
        mean=round(total / pairs, 4),
        low=round(low, 4),
        high=round(high, 4),
        raised=group.raised,
    )
