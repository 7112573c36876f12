"""Does what comes in look different from the reference? Whether that does harm is another question.

>>> from monitor.reference.frozen import event_scores, freeze, scorer
>>> from monitor.rows import ScoreRows
>>> rng = np.random.default_rng(0)
>>> ours = freeze(["chars"], rng.normal(size=(300, 1)).round(4).tolist(), range(300))
>>> about, settings = About("drift", "v1", ["chars"], reference=ours), MonitorSettings()
>>> values, prints = rng.normal(size=(60, 1)) + 2.0 * (np.arange(60) >= 30)[:, None], list(range(60))
>>> scores = event_scores(scorer(ours), values, prints)
>>> rows = ScoreRows(offsets=prints, ids=[], times_ms=[], versions=[], arms=[], clients=[])
>>> events = [RecentEvent(str(k), k, (), -1.0, (int(10 * score),)) for k, (score,) in enumerate(scores.tolist())]
>>> state, (found,) = update(settings, about, start(settings, about), Replies(rows, events, prints, values, scores))
>>> found.summary, found.first_event
('What v1 sees has changed since 00:00:00 UTC: mostly chars (mean +1.6 sigma)', '30')
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from monitor.detectors.episode import EndedAlarm, Over
from monitor.detectors.interface import Change, Floats
from monitor.explain import examples
from monitor.explain.alarm import alarm, label_first, log10, shown, where
from monitor.explain.earlier import reference_events
from monitor.explain.examples import TENTHS, RecentEvent, explain
from monitor.explain.slices import Valued
from monitor.findings import Alarm, Json, clock
from monitor.reference.frozen import Reference
from monitor.settings import MonitorSettings
from monitor.signals.drift_detector import DESCRIPTORS, TEXTS, Drift, DriftChange, detectors
from monitor.signals.drift_detector import State as State
from monitor.signals.interface import About, MissingTest, Replies, Rows, Transition

MOST_MOVED = 3


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state for a complete reference."""
    return detectors(about.reference, settings.arl_events).start() if about.reference else State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take replies: their scores, fingerprints and traits are compared with the reference's."""
    if not isinstance(rows, Replies) or about.reference is None:
        return state, []
    ours, moments = detectors(about.reference, settings.arl_events), rows.moments
    traits = [event.traits for event in rows.events]
    state, transitions = ours.follow(state, rows.scores, rows.prints, traits, moments, settings.alarm_clear_events)
    found: list[Transition] = []
    for transition in transitions:
        if isinstance(transition, Over):
            found.append(EndedAlarm("", moments[transition.step]))
        else:
            events = examples.kept(about.events, rows.events[: transition.end + 1])
            found.append(_alarm(about, about.reference, ours, transition, events))
    return state, found


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the statistic over its threshold."""
    return detectors(about.reference, settings.arl_events).evidence(state) if about.reference else 0.0


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the detector started over."""
    return start(settings, about) if about.reference else state


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return nothing: descriptors are tested against any reference."""
    return {}


def _alarm(about: About, reference: Reference, ours: Drift, found: DriftChange, events: Sequence[RecentEvent]) -> Alarm:
    """The events look different from the reference."""
    change, last = found.change, (events[-1].id, events[-1].time_ms)
    values, measure = contribution(found, about.names, events)
    known = reference_events(reference, about.members, about.traits)
    before = Valued([event.slices for event in known], contribution(found, about.names, known, events)[0])
    explained = explain(about.slices, events, values, before, since_ms=change.since[1], measure=measure)
    most = sorted(found.each, key=lambda each: -each[1])[:MOST_MOVED]
    moved: list[Json] = [{"name": name, "log10_evidence": log10(value / ours.arl)} for name, value in most]
    proof: dict[str, Json] = {
        "statistic": change.statistic,
        "threshold": ours.arl,
        "block": ours.ready.block,
        "reference_events": int(ours.ready.events.shape[1]),
        "part": found.part,
        "moved": moved,
        "alternative": change.what,
    }
    proof |= shown(explained) | label_first(events, about.labelled)
    summary = f"What {about.version} sees has changed since {clock(change.since[1])}: mostly {change.what}"
    return alarm(about.kind, about.version, change.since, last, proof, summary + where(explained))


def contribution(
    found: DriftChange, names: Sequence[str], events: Sequence[RecentEvent], now: Sequence[RecentEvent] | None = None
) -> tuple[list[float], str]:
    """Return how much each event contributes to a drift, and what that measures. `names`: of the descriptors. `now`:
    the events of this time, where these are of another."""
    if found.part == DESCRIPTORS:
        return _moved(found.change, names[found.change.column], events)
    if found.part == TEXTS:
        return _alike(events, now or events), "likeness to the texts of this time"
    category = found.each[found.change.column][0].partition("=")[2]
    known = {name.partition("=")[2] for name, _ in found.each}
    hits = [_is(event.traits.category(found.part), category, known) for event in events]
    if found.change.what.endswith("seldom"):
        return [1.0 - hit for hit in hits], f"share of other {found.part}s than {category}"
    return hits, f"share of the {found.part} {category or 'that the reference lacks'}"


def _moved(change: Change, name: str, events: Sequence[RecentEvent]) -> tuple[list[float], str]:
    scores = [event.scores[change.column] / TENTHS for event in events]
    if "(spread" in change.what:
        return [score * score for score in scores], f"squared score of {name}"
    sign = -1.0 if "(mean -" in change.what else 1.0
    return [sign * score for score in scores], f"score of {name}" + (", turned round" if sign < 0 else "")


def _alike(events: Sequence[RecentEvent], now: Sequence[RecentEvent]) -> list[float]:
    """Return the share of the fingerprint's bits in which each text is as most of this time are."""
    likeness: list[float] = (_bits(events) == (_bits(now).mean(axis=0) >= 0.5)).mean(axis=1).tolist()
    return likeness


def _bits(events: Sequence[RecentEvent]) -> Floats:
    bits = [[event.traits.text >> bit & 1 for bit in range(64)] for event in events]
    return np.array(bits, dtype=np.float64).reshape(len(events), 64)


def _is(value: str, category: str, known: Collection[str]) -> float:
    """Return 1 where a value is the category; without one, where no category is its."""
    return float(value == category if category else bool(value) and value not in known)
