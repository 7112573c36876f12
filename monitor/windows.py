"""Windows of event time: requests and labels are counted in them until every partition has passed them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import msgspec

from monitor.findings import Gap, Window
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from monitor.signals.burn_rate import failed
from monitor.signals.calibration import Estimate

RESOLUTION = math.log(1.02)  # of the latency sketch: bins 2 % wide (DDSketch, Masson et al. 2019)

K = TypeVar("K", bound=Hashable)


class Head(msgspec.Struct, frozen=True):
    """How far one partition of one source is."""

    next_offset: int = 0
    event_ms: int = 0  # newest event time
    seen_ms: int = 0  # when it last sent anything


class Count(msgspec.Struct, frozen=True):
    """A version's window while it is open."""

    requests: int = 0
    errors: int = 0
    labelled: int = 0
    loss: float = 0.0  # the sum of the labels'
    estimate: Estimate = Estimate()
    latencies: dict[int, int] = {}
    correct: int | None = None  # in memories from before losses alone, and read as them

    def __post_init__(self) -> None:
        if self.correct is not None:
            msgspec.structs.force_setattr(self, "loss", float(self.labelled - self.correct))
            msgspec.structs.force_setattr(self, "correct", None)


Counts = dict[int, Count]  # by the window's start, in windows since the epoch


class WindowCounts(msgspec.Struct, frozen=True):
    """The open windows of each version."""

    counts: dict[str, Counts] = {}
    closed: int = 0  # windows before this one are closed
    late: int = 0  # rows that came after their window was closed: they were judged, not counted


def count_replies(
    settings: MonitorSettings, windows: WindowCounts, rows: ScoreRows, estimate: Callable[[str, ScoreRows], Estimate]
) -> WindowCounts:
    """Count replies in their windows. `estimate` returns the accuracy that a version's replies promise."""
    counts, late = {version: dict(mine) for version, mine in windows.counts.items()}, windows.late
    for (version, index), places in groups(_places(settings, rows), range(len(rows))).items():
        if index < windows.closed:
            late += len(places)
            continue
        mine = counts.setdefault(version, {})
        count, statuses = mine.get(index, Count()), [rows.statuses[i] for i in places]
        bins = Counter(_bin(rows.latency_ms[i]) for i in places)
        mine[index] = msgspec.structs.replace(
            count,
            requests=count.requests + len(places),
            errors=count.errors + sum(failed(status) for status in statuses),
            estimate=count.estimate + estimate(version, rows.take(places)),
            latencies=dict(Counter(count.latencies) + bins),
        )
    return WindowCounts(counts, windows.closed, late)


def count_labels(settings: MonitorSettings, windows: WindowCounts, rows: ScoreRows) -> WindowCounts:
    """Count labels, each in the window in which it was given."""
    counts, late = {version: dict(mine) for version, mine in windows.counts.items()}, windows.late
    for i, (version, index) in enumerate(_places(settings, rows)):
        if index < windows.closed:
            late += 1
            continue
        mine = counts.setdefault(version, {})
        count = mine.get(index, Count())
        loss = round(count.loss + (rows.losses[i] or 0.0), 4)
        mine[index] = msgspec.structs.replace(count, labelled=count.labelled + 1, loss=loss)
    return WindowCounts(counts, windows.closed, late)


def close(
    settings: MonitorSettings,
    windows: WindowCounts,
    passed_ms: int,
    evidence: Callable[[str], dict[str, float]],
    gaps: Callable[[str], list[Gap]],
) -> tuple[WindowCounts, list[Window]]:
    """Close the windows that every partition has passed, oldest first. `evidence` and `gaps` are asked of each
    version."""
    passed = (passed_ms - settings.grace_s * 1_000) // (settings.window_s * 1_000)  # the first that may still change
    first = max(passed, windows.closed)
    if first == windows.closed:
        return windows, []
    done = sorted((index, version) for version, mine in windows.counts.items() for index in mine if index < first)
    known = {version: (evidence(version), gaps(version)) for _, version in done}
    closed = [
        _window(settings, version, index, windows.counts[version][index], *known[version]) for index, version in done
    ]
    left = {version: {i: count for i, count in mine.items() if i >= first} for version, mine in windows.counts.items()}
    return WindowCounts({version: mine for version, mine in left.items() if mine}, first, windows.late), closed


def passed_ms(settings: MonitorSettings, heads: dict[str, Head]) -> int:
    """Return the event time that all partitions have passed; those silent for `idle_s` are left out."""
    now = max((head.seen_ms for head in heads.values()), default=0)
    active = [head.event_ms for head in heads.values() if now - head.seen_ms < settings.idle_s * 1_000]
    return min(active, default=0)


def groups(keys: Sequence[K], places: Iterable[int]) -> dict[K, list[int]]:
    """Return the places of each key, in the order of first appearance.

    >>> groups("abca", range(4))
    {'a': [0, 3], 'b': [1], 'c': [2]}
    """
    found: dict[K, list[int]] = {}
    for i in places:
        found.setdefault(keys[i], []).append(i)
    return found


def _window(
    settings: MonitorSettings, version: str, index: int, count: Count, evidence: dict[str, float], gaps: list[Gap]
) -> Window:
    width = settings.window_s * 1_000
    low, high = count.estimate.interval or (None, None)
    return Window(
        version=version,
        start_ms=index * width,
        end_ms=(index + 1) * width,
        requests=count.requests,
        errors=count.errors,
        labelled=count.labelled,
        loss=count.loss,
        estimated_accuracy=count.estimate.accuracy,
        estimated_low=low,
        estimated_high=high,
        latency_p50_ms=quantile(count.latencies, 0.5),
        latency_p95_ms=quantile(count.latencies, 0.95),
        evidence=evidence,
        gaps=gaps,
    )


def quantile(sketch: dict[int, int], share: float) -> float:
    """Return the latency below which `share` of them lie, to 1 %; 0 where there are none."""
    left = math.ceil(share * sum(sketch.values()))
    for index in sorted(sketch):
        left -= sketch[index]
        if left <= 0:
            return round(math.exp((index + 0.5) * RESOLUTION), 3)
    return 0.0


def _bin(latency_ms: float) -> int:
    return math.floor(math.log(max(latency_ms, 0.01)) / RESOLUTION)


def _places(settings: MonitorSettings, rows: ScoreRows) -> list[tuple[str, int]]:
    """Return the version and the window of each row."""
    width = settings.window_s * 1_000
    return [(version, time_ms // width) for version, time_ms in zip(rows.versions, rows.times_ms, strict=True)]
