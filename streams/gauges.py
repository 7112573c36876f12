"""What the judge found, for Prometheus and the worker's log."""

from __future__ import annotations

from contextlib import suppress

import structlog

from monitor.judge import progress
from streams import metrics
from streams.events import WindowClosed
from streams.judge import Effects
from streams.merge import Merge
from streams.state import JudgeRecord

log = structlog.get_logger()


def report(effects: Effects) -> None:
    """Tells of what followed from one record or piece."""
    for alarm in effects.alarms:
        metrics.ALARMS.labels(alarm.alias, alarm.kind.value).inc()
        log.warning(
            "alarm", alias=alarm.alias, version=alarm.version, kind=alarm.kind.value, id=alarm.id, what=alarm.summary
        )
    for request in effects.requests:
        metrics.RETRAINING_REQUESTS.labels(request.alias).inc()
        log.warning(
            "retraining requested", alias=request.alias, champion=request.champion, id=request.id, why=request.reason
        )
    for window in effects.windows:
        metrics.WINDOWS.labels(window.alias).inc()
        _accuracy(window)
        _gaps(window)
    for note in effects.notes:
        log.info(type(note).__name__, version=note.version, note=str(note))


def gauge(memory: JudgeRecord) -> None:
    """How an alias stands."""
    metrics.LATE.labels(memory.alias).set(memory.judge.windows.late)
    for version, each in progress(memory.judge).items():
        metrics.REFERENCE_EVENTS.labels(memory.alias, version).set(each.reference_events)
        for detector, log10 in each.evidence.items():
            metrics.EVIDENCE.labels(memory.alias, version, detector).set(10.0**log10)


def waiting(partition: int, merge: Merge, left_out: list[str]) -> None:
    """What waits for its turn, and for whom nobody waits any more; `left_out` is what was said of these before."""
    metrics.WAITING.labels(str(partition)).set(merge.rows)
    metrics.LEFT_OUT.labels(str(partition)).set(len(merge.left_out))
    for origin in sorted({*merge.left_out} - {*left_out}):
        log.error(
            "partition does not move, others are judged without it",
            origin=origin,
            passed_ms=merge.passed_ms.get(origin),
        )


def given_up(partition: int) -> None:
    """Others may hold the partition by now."""
    for metric in (metrics.WAITING, metrics.LEFT_OUT):
        with suppress(KeyError):
            metric.remove(str(partition))


def _accuracy(window: WindowClosed) -> None:
    if window.labelled:
        metrics.ACCURACY.labels(window.alias, window.version).set(window.correct / window.labelled)
    if window.estimated_accuracy is not None:
        metrics.ESTIMATED_ACCURACY.labels(window.alias, window.version).set(window.estimated_accuracy)


def _gaps(window: WindowClosed) -> None:
    for gap in window.gaps:
        labels = (window.alias, window.version, gap.key, gap.value, gap.measure)
        metrics.GAP.labels(*labels).set(gap.mean)
        metrics.GAP_LOW.labels(*labels).set(gap.low)
