"""The tests of flags and of groups where nothing ends: only the alarms."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.detectors.interface import Moment
from monitor.settings import Fairness, Safety
from monitor.signals import comparison, flags
from monitor.signals.comparison import GroupHarm, Measure, Outcomes
from monitor.signals.flags import FlagHarm


def flagged(
    settings: Safety, state: flags.State, rows: flags.Rows, moments: Sequence[Moment]
) -> tuple[flags.State, list[FlagHarm]]:
    state, transitions = flags.follow(settings, state, rows, moments)
    return state, [each for each in transitions if isinstance(each, FlagHarm)]


def compared(
    settings: Fairness, state: comparison.State, measure: Measure, seen: Outcomes
) -> tuple[comparison.State, list[GroupHarm]]:
    state, transitions = comparison.follow(settings, state, measure, seen)
    return state, [each for each in transitions if isinstance(each, GroupHarm)]
