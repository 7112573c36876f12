"""Do clients complain more often than they did? A thumb down, a low score, a correction, of those who volunteer them.

Who complains has chosen to, so it is no measured error: this asks for an audit, and leads to no retraining
(`monitor.selection.complaints` has the test).

>>> from monitor.rows import ScoreRows
>>> from monitor.explain.examples import RecentEvent
>>> settings, about, state, raised = MonitorSettings(), About("complaints", "v1"), State(), []
>>> state, _ = update(settings, about, state, Complained({0: 1}, 1))
>>> for k in range(1, 3_400):
...     ids, at = [str(k)], [60_000_000 * k]
...     rows = ScoreRows(offsets=[k], ids=ids, times_ms=at, versions=["v1"], arms=[], clients=["app"], logged_ms=at)
...     events = [RecentEvent(str(k), k, (), -1.0, ())]
...     state, found = update(settings, about, state, Replies(rows, events, [k], [], []))
...     raised += found
...     if k % (20 if k < 3_000 else 2) == 0:
...         state, _ = update(settings, about, state, Complained({k: 1_000}, k))
>>> [(alarm.first_event, alarm.severity) for alarm in raised]
[('3000', 'warning')]
"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.describe.people import bare
from monitor.detectors.episode import EndedAlarm
from monitor.detectors.risk import ProvenHarm
from monitor.explain.alarm import alarm
from monitor.findings import Alarm, clock
from monitor.rows import TURN_MS, turns_of
from monitor.selection import complaints
from monitor.selection.cohort import CohortReply
from monitor.selection.complaints import ComplaintRules, Complaints, Turned
from monitor.settings import MonitorSettings
from monitor.signals.interface import About, Complained, MissingTest, Replies, Rows, Transition

State = Complaints


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which nothing was complained about."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take complaints, and replies: those that are old enough are judged."""
    if isinstance(rows, Complained):
        return complaints.complained(state, rows.given, rows.time_ms), []
    if not isinstance(rows, Replies) or not state.began_ms:
        return state, []
    turns = turns_of(rows.rows, 0)
    replies = [
        CohortReply(one, moment, one, turn * TURN_MS, key=bare(client))
        for one, moment, turn, client in zip(rows.prints, rows.moments, turns, rows.rows.clients, strict=True)
    ]
    state, found = complaints.replied(rules(settings), state, replies, max(turns, default=0) * TURN_MS)
    return state, [_transition(settings, about, state, each) for each in found]


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the statistic over its threshold."""
    return complaints.evidence(rules(settings), state)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test started over; what was learned stays."""
    return complaints.restarted(state)


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return nothing: without complaints there is nothing to test, and with them it is learned."""
    return {}


def rules(settings: MonitorSettings) -> ComplaintRules:
    """Return how complaints are judged."""
    given = settings.complaints
    return ComplaintRules(
        arl=given.arl,
        wait_ms=round(given.wait_s * 1_000),
        least=settings.reference_events,
        clear_after=settings.alarm_clear_events,
    )


def _transition(settings: MonitorSettings, about: About, state: State, turned: Turned) -> Transition:
    if not isinstance(turned.change, ProvenHarm):
        return EndedAlarm("", turned.last)
    return _alarm(settings, about, state, turned.change, turned)


def _alarm(settings: MonitorSettings, about: About, state: State, harm: ProvenHarm, turned: Turned) -> Alarm:
    share = harm.losses / max(1, harm.count)
    summary = (
        f"clients complain about {share:.1%} of the {harm.count} replies of {about.version} since "
        f"{clock(harm.since[1])}; it was {state.usual:.1%}. Complaints are volunteered and prove no harm: "
        "label replies that are chosen whatever they say (`homeostat labels wanted --audit`)"
    )
    proof = {
        "statistic": harm.statistic,
        "threshold": complaints.tester(rules(settings), state).arl,
        "limit": state.limit,
        "usual": round(state.usual, 4),
        "keys": state.keys,
        "rests_on": "volunteered",
        "since_onset": {"count": harm.count, "losses": round(harm.losses, 4)},
    }
    return alarm(about.kind, about.version, harm.since, turned.last, proof, summary, harm=share)
