"""The status of each alias's watch, in lines: its reference, open alarms, and untested signals with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploy.operator.alarms import OpenAlarm, open_alarms
from deploy.show.times import clock
from monitor.settings import MonitorSettings
from monitor.watch import untested
from monitor.watch.version import Watch
from streams.judge.memory import JudgeRecord


def lines(settings: MonitorSettings, memories: Mapping[str, JudgeRecord]) -> Iterator[str]:
    """Yield the lines about the version that serves each alias."""
    for alias, memory in sorted(memories.items()):
        watch = memory.judge.watches.get(memory.judge.champion)
        if watch is not None:
            yield f"{alias}: {_stands(settings, watch)}"
            yield from (f"{alias}: open: {_open(alarm)}" for alarm in open_alarms(memory))
            for why in untested.words(untested.reasons(settings, watch)):
                yield f"{alias}: not tested: {why}"


def _stands(settings: MonitorSettings, watch: Watch) -> str:
    if watch.reference is not None:
        return f"{watch.version} is watched"
    return (
        f"{watch.version} is not watched yet: its reference has {len(watch.rows)} of {settings.reference_events} events"
    )


def _open(alarm: OpenAlarm) -> str:
    about = f" ({alarm.about})" if alarm.about else ""
    return f"{alarm.kind}{about} since {clock(alarm.onset_ms)}: homeostat alarms show {alarm.id[:8]}"
