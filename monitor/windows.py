"""Spans of event time, counted until every partition has passed them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from monitor.findings import Window
from monitor.settings import MonitorSettings
from monitor.signals.calibration import Estimate
from monitor.signals.gaps import Gap

RESOLUTION = math.log(1.02)  # of the latency sketch: bins 2 % wide (DDSketch, Masson et al. 2019)


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
    correct: int = 0
    estimate: Estimate = Estimate()
    latencies: dict[int, int] = {}


Counts = dict[int, Count]  # by the window's start, in windows since the epoch


def add_served(counts: Counts, index: int, statuses: Sequence[int], latencies: Sequence[float]) -> None:
    """Counts replies in the window `index`."""
    count = counts.get(index, Count())
    bins = Counter(_bin(latency) for latency in latencies)
    counts[index] = msgspec.structs.replace(
        count,
        requests=count.requests + len(statuses),
        errors=count.errors + sum(failed(status) for status in statuses),
        latencies=dict(Counter(count.latencies) + bins),
    )


def add_label(counts: Counts, index: int, correct: bool) -> None:
    """Counts one label in the window `index`."""
    count = counts.get(index, Count())
    counts[index] = msgspec.structs.replace(count, labelled=count.labelled + 1, correct=count.correct + correct)


def add_estimate(counts: Counts, index: int, estimate: Estimate) -> None:
    """Adds an estimated accuracy to the window `index`."""
    count = counts.get(index, Count())
    counts[index] = msgspec.structs.replace(count, estimate=count.estimate + estimate)


def failed(status: int) -> bool:
    """Whether the server is to blame; a client that erred or hung up is not counted."""
    return status >= 500


def passed_ms(settings: MonitorSettings, heads: dict[str, Head]) -> int:
    """The event time that all partitions have passed; those silent for `idle_s` are left out."""
    now = max((head.seen_ms for head in heads.values()), default=0)
    active = [head.event_ms for head in heads.values() if now - head.seen_ms < settings.idle_s * 1_000]
    return min(active, default=0)


def first_open(settings: MonitorSettings, passed: int) -> int:
    """The first window that may still change."""
    return (passed - settings.grace_s * 1_000) // (settings.window_s * 1_000)


def close(
    settings: MonitorSettings, version: str, index: int, count: Count, evidence: dict[str, float], gaps: list[Gap]
) -> Window:
    """The finished window."""
    width = settings.window_s * 1_000
    low, high = count.estimate.interval or (None, None)
    return Window(
        version=version,
        start_ms=index * width,
        end_ms=(index + 1) * width,
        requests=count.requests,
        errors=count.errors,
        labelled=count.labelled,
        correct=count.correct,
        estimated_accuracy=count.estimate.accuracy,
        estimated_low=low,
        estimated_high=high,
        latency_p50_ms=quantile(count.latencies, 0.5),
        latency_p95_ms=quantile(count.latencies, 0.95),
        evidence=evidence,
        gaps=gaps,
    )


def quantile(sketch: dict[int, int], share: float) -> float:
    """The latency below which `share` of them lie, to 1 %; 0 where there are none."""
    left = math.ceil(share * sum(sketch.values()))
    for index in sorted(sketch):
        left -= sketch[index]
        if left <= 0:
            return round(math.exp((index + 0.5) * RESOLUTION), 3)
    return 0.0


def _bin(latency_ms: float) -> int:
    return math.floor(math.log(max(latency_ms, 0.01)) / RESOLUTION)
