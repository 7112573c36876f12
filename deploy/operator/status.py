"""The status of each alias's watch, in lines: its reference, open alarms, and untested signals with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploy.operator.alarms import OpenAlarm, open_alarms
from deploy.show.times import clock
from monitor.settings import MonitorSettings
from monitor.watch import untested
from monitor.watch.record import VersionRecord, restored
from streams.judge.memory import JudgeRecord


def lines(settings: MonitorSettings, memories: Mapping[str, JudgeRecord]) -> Iterator[str]:
    """Yield the lines about the version that serves each alias."""
    for alias, memory in sorted(memories.items()):
        record = memory.judge.watches.get(memory.judge.champion)
        if record is not None:
            yield f"{alias}: {_stands(settings, record)}"
            yield from (f"{alias}: open: {_open(alarm)}" for alarm in open_alarms(memory))
            for why in untested.lines(untested.reasons(settings, restored(record))):
                yield f"{alias}: not tested: {why}"


def _stands(settings: MonitorSettings, record: VersionRecord) -> str:
    if record.reference is not None:
        return f"{record.version} is watched"
    gathered = f"{len(record.rows)} of {settings.reference_events} events"
    return f"{record.version} is not watched yet: its reference has {gathered}"


def _open(alarm: OpenAlarm) -> str:
    about = f" ({alarm.about})" if alarm.about else ""
    return f"{alarm.kind}{about} since {clock(alarm.onset_ms)}: homeostat alarms show {alarm.id[:8]}"
