"""From an alarm to its end, and armed again: what every statistic does while its alarm is open.

A statistic that reached its threshold stays open. From then on each bet only wins or loses what it has, within bounds:
at most `CAP` thresholds, so that it can come down once the harm is over, and at least `FLOOR` of one, so that it rises
again within a few steps where the harm goes on. (The statistic that looks for a change adds one at each step, for a
change that may begin there. Healthy steps never take it below what these ones amount to, and that may be more than a
hundredth of a low threshold.) Once the statistic has stayed below `QUIET` of the threshold for so many steps, the alarm
is over: the statistic starts from nothing and may reach its threshold again. So the run length that is asked holds
from each end to the next alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from monitor.detectors.interface import Moment

CAP = 100.0  # thresholds that an open statistic is, at most
QUIET = 0.01  # of the threshold: below it nothing speaks for the alarm any more
FLOOR = 1e-4  # of the threshold, for each bet: from there a bet that wins is back at `QUIET` within a few steps


class Episode(msgspec.Struct, frozen=True):
    """Whether an alarm is open, and for how many steps nothing has spoken for it."""

    open: bool = False
    quiet: int = 0


@dataclass(frozen=True, slots=True)
class Over:
    """The step at which an open alarm had been quiet for long enough."""

    step: int


@dataclass(frozen=True, slots=True)
class EndedAlarm:
    """The alarm about this is over, if one is open; `last`: the event that completed its silence, or that left nothing
    to test it by (`cause`)."""

    about: str
    last: Moment
    cause: Literal["quiet", "untested"] = "quiet"


def steps(events: int, block: int = 1) -> int:
    """Return so many events in steps of `block` events: at least one.

    >>> steps(200), steps(200, 30), steps(5, 30)
    (200, 7, 1)
    """
    return max(1, -(-events // block))
