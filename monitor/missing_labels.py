"""How many labels are missing to find whether an alias does harm, or to learn from it."""

from __future__ import annotations

from monitor.findings import ASKS_LABELS
from monitor.judge import AliasState, fresh_labels
from monitor.policy import PolicyState
from monitor.settings import MonitorSettings
from monitor.signals.labelled import awaited
from monitor.watch import untested
from monitor.watch.record import VersionRecord, restored
from monitor.watch.version import baseline


def labels_wanted(settings: MonitorSettings, state: AliasState, policy: PolicyState) -> int:
    """Return the largest of what the baseline, a source that labels too little, an open case and open alarms lack; 0
    where nothing is missing."""
    record = state.watches.get(state.champion)
    if record is None or record.reference is None:
        return 0
    thin = awaited.lacking(settings, record.ordered)
    return max(_for_baseline(settings, record), thin, _for_case(state, policy), _for_alarms(record))


def _for_baseline(settings: MonitorSettings, record: VersionRecord) -> int:
    version = restored(record)
    if ("quality", "") not in untested.reasons(settings, version):
        return 0
    return max(0, settings.min_reference_labels - baseline(settings, version).labelled)


def _for_case(state: AliasState, policy: PolicyState) -> int:
    case = policy.case
    if case is None or case.request_id or case.version != state.champion:
        return 0
    return max(0, case.labels_wanted - fresh_labels(state, case.version))


def _for_alarms(record: VersionRecord) -> int:
    """Return how many replies an open alarm asks labels of that have none."""
    asking = any(raised.kind in ASKS_LABELS for raised in record.raised.values())
    return len({*record.asked} - {*record.labelled}) if asking else 0
