"""Is one group served worse than the rest? Groups are compared by errors, refusals and slow replies.

>>> from monitor.explain.examples import LabelledEvent
>>> about, settings = About("fairness", "v1", slices=["language=de", "language=en"]), MonitorSettings()
>>> state, found = State(), []
>>> for k in range(400):
...     event = LabelledEvent(str(k), k, (k % 2,), float(k % 2 == 0 and k >= 200))
...     state, turns = update(settings, about, state, GivenLabel(event, -1.0, k, chosen=False))
...     found += turns
>>> [(alarm.about, alarm.first_event) for alarm in found]
[('quality/language=de', '200')]
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from monitor.detectors.episode import EndedAlarm
from monitor.explain.alarm import alarm
from monitor.findings import Alarm
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from monitor.signals import comparison
from monitor.signals.burn_rate import slow
from monitor.signals.comparison import GroupHarm, Measure, Outcomes
from monitor.signals.comparison import State as State
from monitor.signals.interface import About, GivenLabel, Replies, Rows, Turn

REFUSAL = "output_refusal"


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which no groups were compared."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Turn]]:
    """Take replies: refusals and slow ones of groups, where clients name groups; and labels that are a fair sample."""
    found: list[Turn] = []
    for measure, outcomes in _outcomes(settings, about, rows):
        state, turns = comparison.follow(settings.fairness, state, measure, outcomes, settings.alarm_clear_events)
        found += [turn if isinstance(turn, EndedAlarm) else _alarm(about, turn) for turn in turns]
    return state, found


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the largest statistic over its threshold."""
    return comparison.evidence(settings.fairness, state)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test of one group by one measure started over."""
    return comparison.restarted(state, what)


def _outcomes(settings: MonitorSettings, about: About, rows: Rows) -> Iterator[tuple[Measure, Outcomes]]:
    if isinstance(rows, Replies) and any(rows.rows.tags):
        known = rows.rows
        yield "refusals", Outcomes(known.ids, known.times_ms, known.tags, _refusals(about, known))
        yield "slow", Outcomes(known.ids, known.times_ms, known.tags, _slow(settings, known))
    elif isinstance(rows, GivenLabel) and not rows.chosen:
        event = rows.event
        tags = dict(about.slices[i].split("=", 1) for i in event.slices)
        yield "quality", Outcomes([event.id], [event.time_ms], [tags], [event.loss])


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
