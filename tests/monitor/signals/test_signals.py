"""Every signal is asked the same: does it keep the promises of `monitor.signals.interface`?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.fingerprint import event_print
from monitor.describe.traits import traits
from monitor.detectors.episode import EndedAlarm
from monitor.explain.examples import LabelledEvent, recent_events
from monitor.findings import Alarm, Kind
from monitor.reference.frozen import event_scores, freeze, scorer
from monitor.rows import ScoreRows
from monitor.settings import ComplaintSettings, MonitorSettings
from monitor.signals import estimated_quality, safety
from monitor.signals.flags import crossed
from monitor.signals.interface import (
    About,
    Baseline,
    Complained,
    GivenLabel,
    LabelStep,
    ModelScores,
    Replies,
    Rows,
    ServedRequests,
    Transition,
)
from monitor.watch.version import SIGNALS

NAMES = ["chars", "output_pii", "output_refusal", *CONFIDENCE]
SETTINGS = MonitorSettings(reference_events=300, complaints=ComplaintSettings(arl=10_000.0, wait_s=1.0))
REFERENCE, JUDGE = 300, "judge/tone by gpt"


@dataclass(frozen=True)
class Life:
    """Healthy events, a harm, rest, and the harm once more; all of them enough to prove it."""

    kind: Kind
    healthy: int = 60
    harm: int = 300
    rest: int = 1_500

    @property
    def harmed(self) -> list[bool]:
        return [False] * self.healthy + [True] * self.harm + [False] * self.rest + [True] * self.harm


LIVES = (
    Life("quality"),
    Life("estimated_quality", rest=2_500),
    Life("drift", rest=2_000),
    Life("complaints", healthy=2_300),
    Life("judged_quality", healthy=300),
    Life("safety"),
    Life("fairness", harm=900, rest=6_000),
    Life("errors", rest=2_500),
    Life("latency", harm=1_200, rest=2_500),
)
each_signal = pytest.mark.parametrize("life", LIVES, ids=[life.kind for life in LIVES])


def described(rng: np.random.Generator, kind: Kind, harmed: Sequence[bool]) -> NDArray[np.float64]:
    """Descriptors of replies; the harm of a kind shows in its own column only."""
    bad, count = np.array(harmed), len(harmed)
    values = rng.normal(size=(count, len(NAMES)))
    values[:, 0] += 2.0 * (bad & (kind == "drift"))
    values[:, 1] = rng.random(count) < np.where(bad & (kind == "safety"), 0.4, 0.01)
    worse = bad & (kind == "fairness") & (np.arange(count) % 2 == 0)
    values[:, 2] = rng.random(count) < np.where(worse, 0.6, 0.01)
    unsure = rng.random(count) < np.where(bad & (kind == "estimated_quality"), 0.7, 0.05)
    values[:, 3:] = np.where(unsure, -3.0, -0.1)[:, None] - 0.05 * np.abs(values[:, 3:])
    return values.round(4)


def about(kind: Kind) -> About:
    rng = np.random.default_rng(7)
    values = described(rng, kind, [False] * REFERENCE)
    losses = (rng.random(REFERENCE) >= np.where(values[:, -1] < -1.0, 0.1, 0.98)).astype(float).tolist()
    reference = freeze(NAMES, values.tolist(), range(REFERENCE))
    slices = ["language=de", "language=en"]
    known = Baseline(REFERENCE, sum(losses), 0.15, enough=True)
    return About(kind, "v1", NAMES, slices, reference, losses=losses, baseline=known)


def labelled(k: int, loss: float, *, chosen: bool = False) -> LabelStep:
    return LabelStep([GivenLabel(LabelledEvent(str(k), k, (k % 2,), loss), -1.0, k)], chosen)


class LifeRows:
    """All rows of a life; each event is the same however they are cut."""

    def __init__(self, life: Life, seed: int = 1) -> None:
        self.about, self.kind, self.bad = about(life.kind), life.kind, life.harmed
        self.flags = safety.start(SETTINGS, self.about)
        rng = np.random.default_rng(seed)
        self.values = described(rng, life.kind, self.bad)
        self.complained = rng.random(len(self.bad)) < np.where(self.bad, 0.4, 0.05)
        self.wrong = rng.random(len(self.bad)) < np.where(np.array(self.bad) & (life.kind == "quality"), 0.6, 0.05)

    def cut(self, low: int, high: int) -> Iterator[Rows]:
        rows = self._rows(low, high)
        if self.kind in ("errors", "latency"):
            yield ServedRequests(rows)
        elif self.kind == "quality":
            for k in range(low, high):
                yield labelled(k, float(self.wrong[k]))
        elif self.kind == "judged_quality":
            for k in range(low, high):
                rows = replace(self._rows(k, k + 1), cohorts=[[JUDGE]])
                yield self._replies(rows, self.values[k : k + 1])
                event = LabelledEvent(str(k), 1_000 * k, (k % 2,), 0.25 + 0.4 * self.bad[k])
                yield ModelScores(JUDGE, [GivenLabel(event, -1.0, 1_000 * k + 100)])
        elif self.kind == "complaints":
            for k in range(low, high):
                yield self._replies(self._rows(k, k + 1), self.values[k : k + 1])
                if self.complained[k] or k == 0:
                    yield Complained({event_print(str(k)): 500}, 1_000 * k + 500)
        else:
            yield self._replies(rows, self.values[low:high])

    def _rows(self, low: int, high: int) -> ScoreRows:
        places = range(low, high)
        failed, late = self.kind == "errors", self.kind == "latency"
        return ScoreRows(
            offsets=list(places),
            ids=[str(k) for k in places],
            times_ms=[1_000 * k for k in places],
            versions=["v1"] * len(places),
            arms=["champion"] * len(places),
            clients=[f"app/{k}" for k in places],
            statuses=[503 if failed and self.bad[k] else 200 for k in places],
            ttft_ms=[20.0] * len(places),
            tpot_ms=[5.0] * len(places),
            latency_ms=[60_000.0 if late and self.bad[k] else 100.0 for k in places],
            descriptors=self.values[low:high].tolist(),
            tags=[{"language": "de" if k % 2 == 0 else "en"} for k in places],
            logged_ms=[1_000 * k for k in places],
        )

    def _replies(self, rows: ScoreRows, values: NDArray[np.float64]) -> Replies:
        assert self.about.reference is not None
        prints = [event_print(id) for id in rows.ids]
        scores = event_scores(scorer(self.about.reference), values, prints)
        chances = estimated_quality.chances(self.about, estimated_quality.State(), rows.descriptors)
        flags = crossed(self.flags, values)
        _, events = recent_events(self.about.slices, rows, scores, chances, traits(rows), flags)
        return Replies(rows, events, prints, values, scores)


def taken(stream: LifeRows, state: Any, low: int, high: int) -> tuple[Any, list[Transition]]:
    transitions: list[Transition] = []
    for rows in stream.cut(low, high):
        state, found = SIGNALS[stream.kind].update(SETTINGS, stream.about, state, rows)
        transitions += found
    return state, transitions


def mine(transitions: Sequence[Transition], what: str) -> list[Transition]:
    return [
        transition
        for transition in transitions
        if isinstance(transition, Alarm | EndedAlarm) and transition.about == what
    ]


def proofs(transitions: Sequence[Transition]) -> list[tuple[str, str, str]]:
    """What each transition is, about what, and the event that completed it. What an alarm shows depends on `About`."""
    found = []
    for transition in transitions:
        assert isinstance(transition, Alarm | EndedAlarm)
        last = transition.last_event if isinstance(transition, Alarm) else transition.last[0]
        found.append((type(transition).__name__, transition.about, last))
    return found


@pytest.mark.slow
@each_signal
def test_harm_is_one_alarm_until_it_is_over_and_then_another(life: Life) -> None:
    stream = LifeRows(life)
    _, transitions = taken(stream, SIGNALS[life.kind].start(SETTINGS, stream.about), 0, len(stream.bad))
    first = next(transition for transition in transitions if isinstance(transition, Alarm))
    assert (first.kind, first.version) == (life.kind, "v1")
    assert [type(transition) for transition in mine(transitions, first.about)] == [Alarm, EndedAlarm, Alarm]
    assert life.healthy <= int(first.last_event) < life.healthy + life.harm
    assert 0.0 < first.harm <= 1.0 or life.kind == "drift"
    assert first.summary.count("v1") == 1


@pytest.mark.slow
@each_signal
def test_how_rows_are_cut_changes_no_turn_and_the_state_goes_through_json_each_time(life: Life) -> None:
    stream, signal = LifeRows(life), SIGNALS[life.kind]
    begun = signal.start(SETTINGS, stream.about)
    whole, transitions = taken(stream, begun, 0, len(stream.bad))
    state, found, low = begun, list[Transition](), 0
    rng = np.random.default_rng(3)
    while low < len(stream.bad):
        high = min(low + int(rng.integers(1, 400)), len(stream.bad))
        state, more = taken(stream, state, low, high)
        stored = msgspec.json.encode(state)
        state = msgspec.json.decode(stored, type=type(begun))
        assert msgspec.json.encode(state) == stored
        found, low = [*found, *more], high
    assert proofs(found) == proofs(transitions)
    assert state == whole


@each_signal
def test_cleared_starts_over(life: Life) -> None:
    stream, signal = LifeRows(life), SIGNALS[life.kind]
    begun, end = signal.start(SETTINGS, stream.about), life.healthy + life.harm
    assert signal.evidence(SETTINGS, stream.about, begun) == 0.0
    state, transitions = taken(stream, begun, 0, end)
    (raised,) = (transition for transition in transitions if isinstance(transition, Alarm))
    assert signal.evidence(SETTINGS, stream.about, state) >= 1.0
    state = signal.cleared(SETTINGS, stream.about, state, raised.about)
    assert signal.evidence(SETTINGS, stream.about, state) < 0.5
    again = LifeRows(life, seed=2)
    _, transitions = taken(again, state, life.healthy, end)
    assert [type(transition) for transition in mine(transitions, raised.about)] == [Alarm]


@each_signal
def test_healthy_rows_and_rows_of_other_signals_raise_nothing(life: Life) -> None:
    stream, signal = LifeRows(life), SIGNALS[life.kind]
    begun = signal.start(SETTINGS, stream.about)
    state, transitions = taken(stream, begun, 0, life.healthy)
    assert transitions == []
    mine = {type(rows) for rows in stream.cut(0, 1)}
    others: list[Rows] = [rows for other in LIVES for rows in LifeRows(other).cut(0, 1) if type(rows) not in mine]
    if life.kind == "fairness":  # it takes labels too
        others = [rows for rows in others if not isinstance(rows, LabelStep)]
    others.append(labelled(1, 1.0, chosen=True))
    for rows in others:
        assert signal.update(SETTINGS, stream.about, state, rows) == (state, [])


@each_signal
def test_a_sound_reference_leaves_nothing_untested(life: Life) -> None:
    known, signal = about(life.kind), SIGNALS[life.kind]
    assert signal.untested(SETTINGS, known, signal.start(SETTINGS, known)) == {}


def test_each_kind_has_a_signal_and_each_signal_a_life() -> None:
    assert SIGNALS.keys() == {*get_args(Kind)} == {life.kind for life in LIVES}
