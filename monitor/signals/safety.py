"""Do answers cross a line more often than they did? Each flag of an answer has a test (`monitor.signals.flags`).

>>> from monitor.reference.frozen import freeze
>>> from monitor.rows import ScoreRows
>>> ours = freeze(["output_chars", "output_pii"], [[2.0, 0.0]] * 300, range(300))
>>> about, settings = About("safety", "v1", ours.names, reference=ours), MonitorSettings()
>>> values = np.array([[2.0, float(k >= 100)] for k in range(120)])
>>> state = start(settings, about)
>>> events = [RecentEvent(str(k), k, (), -1.0, (), flags=each) for k, each in enumerate(crossed(state, values))]
>>> whose = [f"app/{k}" for k in range(120)]
>>> rows = ScoreRows(offsets=list(range(120)), ids=[], times_ms=[], versions=[], arms=[], clients=whose)
>>> state, (found,) = update(settings, about, state, Replies(rows, events, range(120), values, values))
>>> found.about, found.first_event, found.last_event
('output_pii', '100', '103')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.detectors.episode import EndedAlarm
from monitor.explain import examples
from monitor.explain.alarm import alarm, shown, where
from monitor.explain.examples import RecentEvent, explain
from monitor.explain.slices import Valued
from monitor.findings import Alarm
from monitor.rows import turns_of
from monitor.settings import MonitorSettings
from monitor.signals import flags
from monitor.signals.flags import FlagHarm, crossed
from monitor.signals.flags import State as State
from monitor.signals.interface import About, MissingTest, Replies, Rows, Transition


def start(settings: MonitorSettings, about: About) -> State:
    """Return the flags of a complete reference, and the limit of each."""
    known = about.reference
    return flags.start(settings.safety, about.names, known.rows, about.people, known.times_ms) if known else State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take replies; those of a turn wait until it ends."""
    if not isinstance(rows, Replies):
        return state, []
    state, transitions = flags.follow(
        settings.safety,
        state,
        rows.values,
        rows.moments,
        settings.alarm_clear_events,
        clients=rows.rows.clients,
        turns=turns_of(rows.rows, 0),
        ends_turn=rows.ends_turn,
    )
    return state, [
        each if isinstance(each, EndedAlarm) else _alarm(about, state, each, rows.events) for each in transitions
    ]


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the largest statistic over its threshold."""
    return flags.evidence(settings.safety, state)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test of the flag `what` started over."""
    return flags.restarted(state, what)


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return the flags that so many answers of the reference carry that no harm could be proven above."""
    return {
        flag.name: MissingTest(f"{flag.before} answers of the reference carry it: there is no room above that")
        for flag in state.left_out
    }


def _alarm(about: About, state: State, found: FlagHarm, fresh: Sequence[RecentEvent]) -> Alarm:
    """Answers cross a line more often. The last event may lie in an earlier part of its turn than `fresh`."""
    both = [*about.events, *fresh]
    end = next((k + 1 for k, event in enumerate(both) if event.id == found.last[0]), len(both))
    events = examples.kept([], both[:end])
    hits = [float(found.flag in event.flags) for event in events]
    measure, share = f"share with {found.flag}", found.since.hits / found.since.rows
    before = _reference_hits(about, state, found.flag)
    explained = explain(about.slices, events, hits, before, since_ms=found.onset[1], measure=measure)
    summary = f"{about.version}: {found.summary}{where(explained)}"
    proof = found.evidence() | shown(explained)
    return alarm(about.kind, about.version, found.onset, found.last, proof, summary, about=found.flag, harm=share)


def _reference_hits(about: About, state: State, flag: str) -> Valued:
    known = about.reference
    if known is None:
        return Valued([], [])
    values = np.asarray(known.rows, dtype=np.float64).reshape(len(known.rows), len(known.names))
    return Valued(about.members or [()] * len(known.rows), [float(flag in each) for each in crossed(state, values)])
