"""The judge's findings, for Prometheus and the worker's log."""

from __future__ import annotations

from contextlib import suppress

import structlog

from streams import metrics
from streams.judge.ordering import Merge
from streams.judge.step import Effects

log = structlog.get_logger()


def report(effects: Effects) -> None:
    """Count and log the effects of one record or piece."""
    for alarm in effects.alarms:
        metrics.ALARMS.labels(alarm.alias, alarm.kind.value).inc()
        log.warning(
            "alarm", alias=alarm.alias, version=alarm.version, kind=alarm.kind.value, id=alarm.id, what=alarm.summary
        )
    for over in effects.cleared:
        metrics.CLEARED.labels(over.alias, over.kind.value, over.cause).inc()
        log.info("alarm is over", alias=over.alias, version=over.version, id=over.alarm_id, what=over.summary)
    for request in effects.requests:
        metrics.RETRAINING_REQUESTS.labels(request.alias).inc()
        log.warning(
            "retraining requested", alias=request.alias, champion=request.champion, id=request.id, why=request.reason
        )
    for window in effects.windows:
        metrics.WINDOWS.labels(window.alias).inc()
    for note in effects.notes:
        log.info(type(note).__name__, version=note.version, note=str(note))


def waiting(partition: int, merge: Merge, left_out: list[str]) -> None:
    """Show how many rows wait for their tick, and which partitions are waited for no longer. `left_out`: those of the
    last time."""
    metrics.WAITING.labels(str(partition)).set(merge.rows)
    metrics.LEFT_OUT.labels(str(partition)).set(len(merge.left_out))
    for origin in sorted({*merge.left_out} - {*left_out}):
        log.error(
            "partition does not move, others are judged without it",
            origin=origin,
            passed_ms=merge.passed_ms.get(origin),
        )


def given_up(partition: int) -> None:
    """Drop the gauges of a partition that another worker may hold by now."""
    for metric in (metrics.WAITING, metrics.LEFT_OUT):
        with suppress(KeyError):
            metric.remove(str(partition))
