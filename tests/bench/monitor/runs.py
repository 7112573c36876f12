"""Many runs of the shipped detector at once: a reference of its own for each, then events until it fires.

Scores, block lengths, averages, rhythm, dead zone and the statistics' step are the functions that ship; only the loop
over runs is this module's. tests/bench/monitor/test_runs.py asks that it fires where `LocationSpread.update` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.detectors import mixture
from monitor.detectors.blocks import averages
from monitor.detectors.location_spread import ALTERNATIVES, log_ratios
from monitor.reference.frozen import ReferenceScorer, block_scores, event_scores, ready
from monitor.reference.sample import ReferenceSample, gather
from monitor.reference.seasonality import Rhythm
from monitor.watch.bursts import FINGERPRINT, Bursts, first_of_bursts
from tests.bench.monitor.worlds import Floats, Make, Stretch, World

Ints = NDArray[np.int64]

CHUNK = 500  # events


@dataclass(frozen=True, slots=True)
class Watched:
    """What is asked of the detector."""

    arl: float  # events between false alarms
    reference: int  # events
    columns: int = 1
    span_ms: int = 0


@dataclass(frozen=True, slots=True)
class Lengths:
    """Events of each run until it fired; those that had not by the horizon are cut off there."""

    events: Ints
    fired: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """At least: runs that were cut off would have gone on."""
        return float(self.events.mean())

    @property
    def censored(self) -> float:
        return float(1.0 - self.fired.mean())

    def before(self, events: float) -> float:
        """The share of runs that fired before so many."""
        return float((self.fired & (self.events < events)).mean())

    def after(self, healthy: int) -> Lengths:
        """Delays of the runs that were still silent after a healthy stretch."""
        silent = self.events > healthy
        return Lengths(self.events[silent] - healthy, self.fired[silent])


@dataclass(frozen=True, slots=True)
class RunChange:
    """After so many healthy events the mean of each run's first column moves by so many sigmas."""

    healthy: int
    shift: float


def run_lengths(
    make: Make, watched: Watched, *, runs: int, horizon: int, change: RunChange | None = None, seed: int = 0
) -> Lengths:
    """Of `runs` streams of the world, each with a fresh reference."""
    feed = Feed(make(np.random.default_rng(seed), runs * watched.columns))
    scorers = references(feed, watched)
    groups = grouped(scorers, watched)
    events, fired, seen = np.full(runs, horizon), np.zeros(runs, dtype=bool), 0
    while seen < horizon and groups:
        stretch, prints = feed.take()
        stretch = changed(stretch, change, seen, watched.columns)
        for group in groups:
            for run, step in group.watch(stretch, prints, seen):
                if step <= horizon:
                    events[run], fired[run] = step, True
        groups = [group for group in groups if len(group.runs)]
        seen += len(stretch.values)
    return Lengths(events, fired)


class Feed:
    """A world's events without the repetitions of bursts, numbered."""

    def __init__(self, world: World) -> None:
        self.world, self.drawn = world, 0
        self.bursts = Bursts()

    def take(self, events: int = CHUNK) -> tuple[Stretch, list[int]]:
        stretch = self.world.take(events)
        texts = [text.to_bytes(FINGERPRINT, "big") for text in stretch.texts]
        fresh, self.bursts = first_of_bursts(self.bursts, stretch.clients, stretch.times_ms, texts)
        if stretch.clients:
            at = np.flatnonzero(fresh)
            stretch = Stretch(stretch.values[at], [stretch.times_ms[i] for i in at.tolist()])
        self.drawn += len(stretch.values)
        return stretch, list(range(self.drawn - len(stretch.values), self.drawn))


def references(feed: Feed, watched: Watched) -> list[ReferenceScorer]:
    """One for each run, gathered as a served version gathers its own; what came in excess of it is dropped."""
    sample, complete = ReferenceSample(), False
    rows, prints = np.empty((0, 0)), np.empty(0, np.int64)
    while not complete:
        stretch, numbers = feed.take()
        done = gather(sample, stretch.times_ms, wanted=watched.reference, span_ms=watched.span_ms)
        rows = np.concatenate((rows.reshape(-1, stretch.values.shape[1]), stretch.values))[done.kept]
        prints = np.concatenate((prints, numbers))[done.kept]
        sample, complete = done.sample, done.complete
    names = [f"x{j}" for j in range(watched.columns)]
    return [
        ready(names, rows[:, low : low + watched.columns], prints.tolist(), sample.times_ms, sample.places)
        for low in range(0, rows.shape[1], watched.columns)
    ]


def changed(stretch: Stretch, change: RunChange | None, seen: int, columns: int) -> Stretch:
    """The stretch with the first column of each run moved, from the change on."""
    if change is None or seen + len(stretch.values) <= change.healthy:
        return stretch
    values = stretch.values.copy()
    values[max(0, change.healthy - seen) :, ::columns] += change.shift
    return replace(stretch, values=values)


def grouped(scorers: Sequence[ReferenceScorer], watched: Watched) -> list[Group]:
    """Runs whose references chose alike go together."""
    alike: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for run, each in enumerate(scorers):
        alike.setdefault((each.block, each.rhythm.waves), []).append(run)
    return [Group(runs, [scorers[run] for run in runs], watched) for runs in alike.values()]


class Group:
    """Runs with blocks of one length and the same waves, side by side."""

    def __init__(self, runs: Sequence[int], scorers: Sequence[ReferenceScorer], watched: Watched) -> None:
        self.runs, self.columns, self.block = np.array(runs), watched.columns, scorers[0].block
        self.arl = watched.arl / self.block
        self.dead_zone = scorers[0].dead_zone(watched.arl)
        self.scorers = list(scorers)
        self.scorer = joined(self.scorers)
        self.sums = np.zeros((len(runs), watched.columns, len(ALTERNATIVES)))
        self.waiting = np.empty((0, len(runs) * watched.columns))

    def watch(self, stretch: Stretch, prints: Sequence[int], seen: int) -> list[tuple[int, int]]:
        """Which runs fire in this stretch, and after how many events."""
        at = (self.runs[:, None] * self.columns + np.arange(self.columns)).ravel()
        scores = event_scores(self.scorer, stretch.values[:, at], prints, stretch.times_ms)
        began = seen - len(self.waiting)
        steps, ends = self._blocks(scores, prints)
        shape = (len(self.runs), self.columns)
        inflation = (self.scorer.inflation * self.scorer.wildness).reshape(shape)
        gains = log_ratios(self.dead_zone, steps.reshape(-1, *shape), inflation, self.scorer.spreading.reshape(shape))
        return self._advance(np.exp(gains), [began + end for end in ends])

    def _blocks(self, scores: Floats, prints: Sequence[int]) -> tuple[Floats, list[int]]:
        """Scores of the full blocks, and after how many events each is full."""
        if self.block == 1:
            return scores, list(range(1, len(scores) + 1))
        held = len(self.waiting)
        rows = np.concatenate((self.waiting, scores))
        full = len(rows) // self.block * self.block
        self.waiting = rows[full:]
        ends = list(range(self.block, full + 1, self.block))
        last = [prints[end - held - 1] for end in ends]
        return block_scores(self.scorer, averages(rows[:full], self.block)[0], last), ends

    def _advance(self, factors: Floats, ends: Sequence[int]) -> list[tuple[int, int]]:
        fired: dict[int, int] = {}
        with np.errstate(over="ignore"):
            for row, end in zip(factors, ends, strict=True):
                self.sums = mixture.stepped(self.arl, self.sums, row)
                for place in np.flatnonzero(self.sums.mean(axis=(1, 2)) >= self.arl).tolist():
                    fired.setdefault(place, end)
        told = [(int(self.runs[place]), end) for place, end in fired.items()]
        if fired:
            self._keep([place for place in range(len(self.runs)) if place not in fired])
        return told

    def _keep(self, places: list[int]) -> None:
        at = (np.array(places, dtype=np.int64)[:, None] * self.columns + np.arange(self.columns)).ravel()
        self.runs, self.sums, self.waiting = self.runs[places], self.sums[places], self.waiting[:, at]
        self.scorers = [self.scorers[place] for place in places]
        if places:
            self.scorer = joined(self.scorers)


def joined(scorers: Sequence[ReferenceScorer]) -> ReferenceScorer:
    """One scorer of all their columns."""
    first = scorers[0].rhythm
    rhythm = Rhythm(
        first.waves,
        np.concatenate([each.rhythm.weights for each in scorers], axis=1),
        np.concatenate([each.rhythm.low for each in scorers]),
        np.concatenate([each.rhythm.high for each in scorers]),
    )
    return ReferenceScorer(
        np.concatenate([each.events for each in scorers]),
        rhythm,
        np.concatenate([each.calm for each in scorers]),
        np.concatenate([each.blocks for each in scorers]),
        scorers[0].block,
        np.concatenate([each.inflation for each in scorers]),
        np.concatenate([each.spreading for each in scorers]),
        np.concatenate([each.wildness for each in scorers]),
        (),
        scorers[0].normal,
        scorers[0].block_normal,
    )
