"""Parts that are measured by benches of their own, which can be run by themselves too."""

from __future__ import annotations

from tests.bench.monitor import cost as costs
from tests.bench.monitor import fairness as groups
from tests.bench.monitor import safety as flags
from tests.bench.streams import kills as killing
from tests.bench.streams.__main__ import measured as worker
from tests.bench.tools.figures import Figure

WORKER = ("throughput", "workers", "memory", "restart")
QUICK_EVENTS, QUICK_KILLS = 6_000, 4


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


def streams(quick: bool) -> list[Figure]:
    """The worker against a real Kafka."""
    return worker(WORKER, quick)


def kills(quick: bool) -> list[Figure]:
    """Workers that are killed, beside ones that are not."""
    return killing.measured(QUICK_EVENTS, QUICK_KILLS) if quick else killing.measured()
