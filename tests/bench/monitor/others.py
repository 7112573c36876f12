"""Parts that are measured by benches of their own, which can be run by themselves too."""

from __future__ import annotations

from tests.bench.monitor import cost as costs
from tests.bench.monitor import fairness as groups
from tests.bench.monitor import safety as flags
from tests.bench.tools.figures import Figure


def cost(_: bool) -> list[Figure]:
    """An event's, as descriptors, slices and aliases grow, and a piece's, as watches do."""
    found = costs.curves()
    costs.draw(found, costs.PICTURE)
    return [*costs.figures(found), costs.pieces()]


def fairness(_: bool) -> list[Figure]:
    """Gaps between groups: false alarms, intervals, delays."""
    return groups.figures()


def safety(_: bool) -> list[Figure]:
    """Flags of answers: false alarms, delays, what describing costs."""
    return flags.figures()
