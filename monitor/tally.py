"""Requests and labels counted in their windows, until the windows are closed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import msgspec

from monitor import windows
from monitor.findings import Window
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from monitor.signals.calibration import Estimate
from monitor.signals.gaps import Gap
from monitor.windows import Counts

K = TypeVar("K", bound=Hashable)


class Tally(msgspec.Struct, frozen=True):
    """The open windows of each version."""

    counts: dict[str, Counts] = {}
    closed: int = 0  # windows before this one are closed
    late: int = 0  # rows that came after their window was closed: they were judged, not counted


def served(
    settings: MonitorSettings, tally: Tally, rows: ScoreRows, estimate: Callable[[str, ScoreRows], Estimate]
) -> Tally:
    """Counts replies; `estimate` tells the accuracy that a version's replies promise."""
    counts, late = _open(tally), tally.late
    for (version, index), places in groups(_windows(settings, rows), range(len(rows))).items():
        if index < tally.closed:
            late += len(places)
            continue
        mine = counts.setdefault(version, {})
        windows.add_served(mine, index, [rows.statuses[i] for i in places], [rows.latency_ms[i] for i in places])
        windows.add_estimate(mine, index, estimate(version, rows.take(places)))
    return Tally(counts, tally.closed, late)


def labelled(settings: MonitorSettings, tally: Tally, rows: ScoreRows) -> Tally:
    """Counts labels, in the window in which they were given."""
    counts, late = _open(tally), tally.late
    for i, (version, index) in enumerate(_windows(settings, rows)):
        if index < tally.closed:
            late += 1
        else:
            windows.add_label(counts.setdefault(version, {}), index, bool(rows.correct[i]))
    return Tally(counts, tally.closed, late)


def close(
    settings: MonitorSettings,
    tally: Tally,
    passed_ms: int,
    evidence: Callable[[str], dict[str, float]],
    gaps: Callable[[str], list[Gap]],
) -> tuple[Tally, list[Window]]:
    """Closes what every partition has passed, oldest first. `evidence` and `gaps` tell of a version."""
    first = max(windows.first_open(settings, passed_ms), tally.closed)
    if first == tally.closed:
        return tally, []
    done = sorted((index, version) for version, mine in tally.counts.items() for index in mine if index < first)
    told = {version: (evidence(version), gaps(version)) for _, version in done}
    closed = [
        windows.close(settings, version, index, tally.counts[version][index], *told[version]) for index, version in done
    ]
    left = {version: {i: count for i, count in mine.items() if i >= first} for version, mine in tally.counts.items()}
    return Tally({version: mine for version, mine in left.items() if mine}, first, tally.late), closed


def groups(keys: Sequence[K], places: Iterable[int]) -> dict[K, list[int]]:
    """The places of each key, in the order of first appearance.

    >>> groups("abca", range(4))
    {'a': [0, 3], 'b': [1], 'c': [2]}
    """
    found: dict[K, list[int]] = {}
    for i in places:
        found.setdefault(keys[i], []).append(i)
    return found


def _open(tally: Tally) -> dict[str, Counts]:
    return {version: dict(mine) for version, mine in tally.counts.items()}


def _windows(settings: MonitorSettings, rows: ScoreRows) -> list[tuple[str, int]]:
    width = settings.window_s * 1_000
    return [(version, time_ms // width) for version, time_ms in zip(rows.versions, rows.times_ms, strict=True)]
