"""Does a judge model score answers lower than it did? Replies chosen by a hash, in their order, with no label.

The judge's first scores say what is usual for it (`monitor.selection.ordered`); a reply that it was asked about and
gave no score counts against harm: a judge that is away raises no alarm. It is a model's opinion: its alarm asks for
labels, and its agreement with people on audited replies stands in it. The same scores are estimates for the audit's
own test (`monitor.signals.quality`).

>>> from monitor.explain.examples import LabelledEvent, RecentEvent
>>> from monitor.rows import ScoreRows
>>> name, settings, state, raised = "judge/tone by gpt", MonitorSettings(), State(), []
>>> about = About("judged_quality", "v1")
>>> for k in range(400):
...     at, ids = 60_000 * k, [str(k)]
...     rows = ScoreRows(offsets=[k], ids=ids, times_ms=[at], versions=["v1"], arms=[], clients=["app"],
...         logged_ms=[at], cohorts=[[name]])
...     replies = Replies(rows, [RecentEvent(str(k), at, (), -1.0, ())], [event_print(str(k))], [], [])
...     state, found = update(settings, about, state, replies)
...     raised += found
...     event = LabelledEvent(str(k), at, (), 0.2 if k < 300 else 0.7)
...     state, _ = update(settings, about, state, ModelScores(name, [GivenLabel(event, -1.0, at + 5_000)]))
>>> [(alarm.first_event, alarm.severity, alarm.harm) for alarm in raised]
[('300', 'warning', 0.7)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from monitor.describe.fingerprint import event_print
from monitor.detectors.episode import EndedAlarm
from monitor.detectors.mixture import Reached
from monitor.explain import examples
from monitor.explain.alarm import alarm, label_first, shown, where
from monitor.explain.examples import LabelledEvent, explain
from monitor.explain.slices import Valued
from monitor.findings import Alarm, clock
from monitor.losses import WRONG
from monitor.selection import ordered
from monitor.selection.neighbours import UNKNOWN
from monitor.selection.ordered_labels import OrderedLabels
from monitor.selection.sources import judge_of, may_judge, read
from monitor.settings import MonitorSettings
from monitor.signals.interface import About, GivenLabel, LabelStep, MissingTest, ModelScores, Replies, Rows, Transition
from monitor.signals.labelled import awaited

COMPARED = 100  # replies with both judgements that tell how far the judge is believed; the last ones
AWAITED_KEPT = 2_000  # replies of which one judgement is missing


class State(msgspec.Struct, frozen=True):
    """The test of the judge's scores, and how it agrees with people."""

    judge: str = ""  # its name; another one starts over
    ordered: OrderedLabels = OrderedLabels()
    scored: list[LabelledEvent] = []  # the last ones
    pairs: dict[int, tuple[float, float]] = {}  # of audited replies: the judge's loss and people's, `UNKNOWN` for none
    agreed: list[bool] = []  # of the last pairs: whether both called the answer good, or both bad


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which no judge was asked."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take replies, those that are old enough are judged; the judge's scores; and labels of the same replies."""
    if isinstance(rows, Replies):
        return _replied(settings, about, state, rows)
    if isinstance(rows, ModelScores) and rows.source == state.judge:
        known = awaited.given(state.ordered, rows.given)
        scored = examples.kept(state.scored, [each.event for each in rows.given])
        return _paired(replace(state, ordered=known, scored=scored), rows.given, 0), []
    if isinstance(rows, LabelStep) and not rows.chosen:
        return _paired(state, rows.labels, 1), []
    return state, []


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the statistic over its threshold."""
    return ordered.evidence(awaited.rules(settings, state.judge), state.ordered)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test started over; what was learned stays."""
    return replace(state, ordered=ordered.restarted(state.ordered))


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return nothing where no judge is asked; else that too few of its scores say what is usual."""
    if not state.judge or state.ordered.limit is not None:
        return {}
    scores, needed = sum(count for count, *_ in state.ordered.learned), awaited.rules(settings, state.judge).least
    return {"": MissingTest(f"{scores} of {needed} scores that say what is usual have come", for_good=False)}


def agreement(state: State) -> str:
    """Return how the judge agrees with people, for people; empty where no reply has both judgements.

    >>> agreement(State(judge="judge/tone by gpt", agreed=[True, True, False]))
    'judge agrees with people on 2 of 3 audited replies'
    """
    if not state.agreed:
        return ""
    return f"judge agrees with people on {sum(state.agreed)} of {len(state.agreed)} audited replies"


def _replied(settings: MonitorSettings, about: About, state: State, rows: Replies) -> tuple[State, list[Transition]]:
    cohorts, found = rows.rows.cohorts, list[Transition]()
    named = next((name for each in reversed(cohorts) if (name := judge_of(each))), state.judge)
    if named != state.judge:
        if state.ordered.test.episode.open:
            found.append(EndedAlarm("", rows.moments[0], "untested"))
        state = State(judge=named)
    if not state.judge:
        return state, []
    pairs = dict(state.pairs)
    for one, names in zip(rows.prints, cohorts or [[]] * len(rows.prints), strict=True):
        if state.judge in names and any(may_judge(read(name).selection) for name in names):
            pairs.setdefault(one, (UNKNOWN, UNKNOWN))
    known, changes = awaited.replied(settings, state.judge, state.ordered, rows, 0.0)
    state = replace(state, ordered=known, pairs=dict(list(pairs.items())[-AWAITED_KEPT:]))
    for each in changes:
        if isinstance(each.change, Reached):
            found.append(_alarm(settings, about, state, each.change, each.last))
        else:
            found.append(EndedAlarm("", each.last))
    return state, found


def _paired(state: State, labels: Sequence[GivenLabel], side: int) -> State:
    """Note judgements of one side (0: the judge's, 1: people's) of the replies whose other one may come."""
    pairs, agreed = dict(state.pairs), list(state.agreed)
    for label in labels:
        one = event_print(label.event.id)
        if one not in pairs or pairs[one][side] != UNKNOWN:
            continue
        pair = (label.event.loss, pairs[one][1]) if side == 0 else (pairs[one][0], label.event.loss)
        pairs[one] = pair
        if UNKNOWN not in pair:
            del pairs[one]
            agreed.append((pair[0] < WRONG) == (pair[1] < WRONG))
    return state if pairs == state.pairs else replace(state, pairs=pairs, agreed=agreed[-COMPARED:])


def _alarm(settings: MonitorSettings, about: About, state: State, reached: Reached, last: tuple[str, int]) -> Alarm:
    """The scores since the onset are those among the last ones that are remembered."""
    known, since_ms = state.ordered, reached.since[1]
    losses = [event.loss for event in state.scored if event.time_ms >= since_ms]
    loss, judge = sum(losses) / max(1, len(losses)), read(state.judge).source
    explained = explain(
        about.slices, state.scored, [e.loss for e in state.scored], Valued([], []), since_ms=since_ms, measure=judge
    )
    agrees = agreement(state)
    summary = (
        f"the judge model ({judge}) gives answers of {about.version} {1.0 - loss:.2f} on average since "
        f"{clock(since_ms)}; it was {1.0 - known.usual:.2f}. It proves no harm alone, labels must tell: "
        f"{agrees or 'no audited reply tells yet whether it agrees with people'}{where(explained)}"
    )
    proof = {
        "statistic": reached.statistic,
        "threshold": ordered.tester(awaited.rules(settings, state.judge), known).arl,
        "limit": known.limit,
        "usual": round(known.usual, 4),
        "judge": judge,
        "agreement": {"agreed": sum(state.agreed), "compared": len(state.agreed)},
        "rests_on": state.judge,
        "since_onset": {"count": len(losses), "losses": round(sum(losses), 4)},
    }
    proof |= shown(explained) | label_first(about.events, about.labelled)
    return alarm(about.kind, about.version, reached.since, last, proof, summary, harm=loss)
