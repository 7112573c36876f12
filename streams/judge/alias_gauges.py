"""The aliases of a worker, for Prometheus. A series goes with its version, and with the partition: a version that no
longer serves hides none that does, and two workers never both show one alias."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client import Gauge

from monitor.findings import Kind
from monitor.judge import VersionProgress, progress
from monitor.missing_labels import labels_wanted
from monitor.settings import MonitorSettings
from monitor.watch.version import UnresolvedAlarm
from streams import metrics
from streams.events import WindowClosed
from streams.judge.memory import JudgeRecord

OF_VERSIONS: tuple[Gauge, ...] = (
    metrics.ALARM_OPEN,
    metrics.ALARM_HARM,
    metrics.ALARM_ONSET,
    metrics.EVIDENCE,
    metrics.REFERENCE_EVENTS,
    metrics.ACCURACY,
    metrics.ESTIMATED_ACCURACY,
    metrics.GAP,
    metrics.GAP_LOW,
)
UNUSED_MS = 600_000  # of event time: a version that was no champion, and answered nothing for so long, has gone

AliasVersion = tuple[str, str]
Group = tuple[str, str, str]  # key, value, measure
Subject = tuple[Kind, str]  # of alarms: their kind, and the flag or group that they are about


@dataclass(slots=True)
class AliasGauges:
    """The series shown: by alias, its versions and when each answered last; of each the groups that are compared. The
    versions of the judge's memory serve, or served, as champion; the others are candidates, known by windows only."""

    settings: MonitorSettings
    shown: dict[str, dict[str, int]] = field(default_factory=dict)
    gaps: dict[AliasVersion, set[Group]] = field(default_factory=dict)
    subjects: dict[AliasVersion, set[Subject]] = field(default_factory=dict)  # whose alarms were open

    def show(self, memory: JudgeRecord, windows: Iterable[WindowClosed] = ()) -> None:
        """Show the alias as it is in its memory, and these windows of it."""
        alias, champion = memory.alias, memory.judge.champion
        versions = self.shown.setdefault(alias, {})
        metrics.LATE.labels(alias).set(memory.judge.windows.late)
        metrics.LABELS_WANTED.labels(alias).set(labels_wanted(self.settings, memory.judge, memory.policy))
        for version, state in progress(memory.judge).items():
            if champion in ("", version):
                versions.setdefault(version, 0)
                _show_progress(alias, version, state)
                self._alarms((alias, version), state)
        for window in windows:
            if window.version == champion or (window.requests and window.version not in memory.judge.watches):
                versions[window.version] = max(versions.get(window.version, 0), window.end_ms)
                _window(window)
                self._gaps(window)
        self._retire(memory)

    def take_away(self, aliases: Iterable[str]) -> None:
        """Drop the series of these aliases: another worker shows them now."""
        for alias in aliases:
            for version in self.shown.pop(alias, {}):
                self._forget((alias, version))
            for metric in (metrics.LATE, metrics.LABELS_WANTED, *OF_VERSIONS):
                metric.remove_by_labels({"alias": alias})

    def _forget(self, at: AliasVersion) -> None:
        self.gaps.pop(at, None)
        self.subjects.pop(at, None)

    def _alarms(self, at: AliasVersion, state: VersionProgress) -> None:
        """Each by its subject: an open alarm must not hide the next one."""
        raised: dict[Subject, UnresolvedAlarm] = {(each.kind, each.about): each for each in state.raised.values()}
        known = self.subjects.setdefault(at, {(kind, "") for kind in get_args(Kind)})
        known.update(raised)
        for kind, about in known:
            each = raised.get((kind, about))
            metrics.ALARM_OPEN.labels(*at, kind, about).set(each is not None)
            if each is not None:
                metrics.ALARM_ONSET.labels(*at, kind, about).set(each.onset_ms / 1_000)
                metrics.ALARM_HARM.labels(*at, kind, about).set(each.harm)
            else:
                gone = {"alias": at[0], "version": at[1], "kind": kind, "about": about}
                for metric in (metrics.ALARM_ONSET, metrics.ALARM_HARM):
                    metric.remove_by_labels(gone)

    def _gaps(self, window: WindowClosed) -> None:
        """A window has all groups that can be compared; the series of the others go."""
        at = window.alias, window.version
        groups = {(gap.key, gap.value, gap.measure): gap for gap in window.gaps}
        for key, value, measure in self.gaps.get(at, set()) - set(groups):
            gone = {"alias": window.alias, "version": window.version, "tag": key, "group": value, "measure": measure}
            for metric in (metrics.GAP, metrics.GAP_LOW):
                metric.remove_by_labels(gone)
        for group, gap in groups.items():
            metrics.GAP.labels(*at, *group).set(gap.mean)
            metrics.GAP_LOW.labels(*at, *group).set(gap.low)
        self.gaps[at] = set(groups)

    def _retire(self, memory: JudgeRecord) -> None:
        versions, champion = self.shown[memory.alias], memory.judge.champion
        newest_ms = max(versions.values(), default=0)
        for version, answered_ms in list(versions.items()):
            gone = version in memory.judge.watches or newest_ms - answered_ms > UNUSED_MS
            if champion not in ("", version) and gone:
                del versions[version]
                self._forget((memory.alias, version))
                for metric in OF_VERSIONS:
                    metric.remove_by_labels({"alias": memory.alias, "version": version})


def _show_progress(alias: str, version: str, state: VersionProgress) -> None:
    metrics.REFERENCE_EVENTS.labels(alias, version).set(state.reference_events)
    for kind, log10 in state.evidence.items():
        metrics.EVIDENCE.labels(alias, version, kind).set(10.0**log10)


def _window(window: WindowClosed) -> None:
    at = window.alias, window.version
    if window.labelled and window.loss is not None:
        metrics.ACCURACY.labels(*at).set(1.0 - window.loss / window.labelled)
    if window.estimated_accuracy is not None:
        metrics.ESTIMATED_ACCURACY.labels(*at).set(window.estimated_accuracy)
    elif window.requests:  # answered, and nothing is promised any more
        metrics.ESTIMATED_ACCURACY.remove_by_labels({"alias": window.alias, "version": window.version})
