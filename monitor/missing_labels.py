"""How many labels are missing to tell whether an alias does harm, or to learn from it."""

from __future__ import annotations

from monitor.judge import AliasState, fresh_labels
from monitor.policy import PolicyState
from monitor.settings import MonitorSettings
from monitor.watch.version import Watch, baseline


def labels_wanted(settings: MonitorSettings, state: AliasState, policy: PolicyState) -> int:
    """Return the largest of what the baseline, an open case and open alarms lack; 0 where nothing is missing."""
    watch = state.watches.get(state.champion)
    if watch is None or watch.reference is None:
        return 0
    return max(_for_baseline(settings, watch), _for_case(state, policy), _for_alarms(watch))


def _for_baseline(settings: MonitorSettings, watch: Watch) -> int:
    return max(0, settings.min_reference_labels - baseline(settings, watch).labelled)


def _for_case(state: AliasState, policy: PolicyState) -> int:
    case = policy.case
    if case is None or case.request_id or case.version != state.champion:
        return 0
    return max(0, case.labels_wanted - fresh_labels(state, case.version))


def _for_alarms(watch: Watch) -> int:
    """The replies that an open alarm asks labels of, and that have none."""
    asking = any(raised.kind in ("drift", "estimated_quality") for raised in watch.raised.values())
    return len({*watch.asked} - {*watch.labelled}) if asking else 0
