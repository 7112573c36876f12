"""Is one group served worse than the rest? Groups are compared by errors, refusals and slow replies.

>>> from monitor.explain.examples import LabelledEvent
>>> from monitor.signals.interface import GivenLabel
>>> about, settings = About("fairness", "v1", slices=["language=de", "language=en"]), MonitorSettings()
>>> state, found = State(), []
>>> for k in range(400):
...     event = LabelledEvent(str(k), k, (k % 2,), float(k % 2 == 0 and k >= 200))
...     state, transitions = update(settings, about, state, LabelStep([GivenLabel(event, -1.0, k)]))
...     found += transitions
>>> [(alarm.about, alarm.first_event) for alarm in found]
[('quality/language=de', '200')]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from monitor.detectors.episode import EndedAlarm
from monitor.explain.alarm import alarm
from monitor.findings import Alarm
from monitor.rows import ScoreRows
from monitor.selection.sources import is_drawn
from monitor.settings import MonitorSettings
from monitor.signals import comparison
from monitor.signals.burn_rate import slow
from monitor.signals.comparison import GroupHarm, Measure, Outcomes
from monitor.signals.comparison import State as State
from monitor.signals.interface import About, LabelStep, MissingTest, Replies, Rows, Transition

REFUSAL = "output_refusal"


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which no groups were compared."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take replies: refusals and slow ones of groups, where clients name groups; and labels that are a fair sample:
    drawn ones are none before they are weighed, and a group has few of them."""
    found: list[Transition] = []
    for measure, outcomes in _outcomes(settings, about, rows):
        state, transitions = comparison.follow(settings.fairness, state, measure, outcomes, settings.alarm_clear_events)
        found += [each if isinstance(each, EndedAlarm) else _alarm(about, each) for each in transitions]
    return state, found


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the largest statistic over its threshold."""
    return comparison.evidence(settings.fairness, state)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test of one group by one measure started over."""
    return comparison.restarted(state, what)


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return nothing: groups are compared with each other."""
    return {}


def _outcomes(settings: MonitorSettings, about: About, rows: Rows) -> Iterator[tuple[Measure, Outcomes]]:
    if isinstance(rows, Replies) and any(rows.rows.tags):
        known = rows.rows
        yield "refusals", Outcomes(known.ids, known.times_ms, known.tags, _refusals(about, known))
        yield "slow", Outcomes(known.ids, known.times_ms, known.tags, _slow(settings, known))
    elif isinstance(rows, LabelStep) and not rows.chosen and not is_drawn(rows.source):
        events = [label.event for label in rows.labels]
        tags = [dict(about.slices[i].partition("=")[::2] for i in event.slices) for event in events]
        ids, times_ms = [event.id for event in events], [event.time_ms for event in events]
        yield "quality", Outcomes(ids, times_ms, tags, [event.loss for event in events])


def _refusals(about: About, rows: ScoreRows) -> list[float]:
    column = about.names.index(REFUSAL) if REFUSAL in about.names else None
    return [float(row[column] > 0.0) if column is not None else math.nan for row in rows.descriptors]


def _slow(settings: MonitorSettings, rows: ScoreRows) -> list[float]:
    times = zip(rows.ttft_ms, rows.tpot_ms, rows.latency_ms, strict=True)
    return [float(slow(settings.slo, *each)) for each in times]


def _alarm(about: About, found: GroupHarm) -> Alarm:
    """One group is served worse than the rest."""
    summary, harm = f"{about.version}: {found.summary}", found.mean
    onset, last = found.onset, found.last
    return alarm(about.kind, about.version, onset, last, found.evidence(), summary, about=found.about, harm=harm)
