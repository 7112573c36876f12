"""River's drift detectors on the very same streams. They have no reference: they learn from the first events on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley

from tests.bench.monitor.runs import Feed, Lengths, RunChange, Watched, references
from tests.bench.monitor.worlds import Floats, Make

Rival = Callable[[float], ADWIN | PageHinkley | KSWIN]  # by its own parameter

RIVALS: dict[str, tuple[Rival, float]] = {
    "ADWIN": (lambda delta: ADWIN(delta=delta), 0.002),
    "Page-Hinkley": (lambda threshold: PageHinkley(threshold=threshold), 50.0),
    "KSWIN": (lambda alpha: KSWIN(alpha=alpha, seed=1), 0.005),
}


def streams(make: Make, watched: Watched, *, runs: int, of: int, horizon: int, seed: int = 0) -> Floats:
    """The events after the reference of the first `runs` of `of` runs, shape (horizon, runs): those that
    `runs.run_lengths` gives the shipped detector with the same seed."""
    feed = Feed(make(np.random.default_rng(seed), of * watched.columns))
    references(feed, watched)
    taken: list[Floats] = []
    while sum(map(len, taken)) < horizon:
        taken.append(feed.take()[0].values[:, : runs * watched.columns : watched.columns].copy())
    return np.concatenate(taken)[:horizon]


def lengths(rival: Callable[[], ADWIN | PageHinkley | KSWIN], values: Floats) -> Lengths:
    """Events of each column until the detector tells a drift."""
    events, fired = np.full(values.shape[1], len(values)), np.zeros(values.shape[1], dtype=bool)
    for run, column in enumerate(values.T.tolist()):
        step = first(rival(), column)
        if step is not None:
            events[run], fired[run] = step, True
    return Lengths(events, fired)


def first(detector: ADWIN | PageHinkley | KSWIN, values: Sequence[float]) -> int | None:
    for step, value in enumerate(values, 1):
        detector.update(value)
        if detector.drift_detected:
            return step
    return None


class FastKswin:
    """KSWIN's rule for many runs at once: the last 30 of 100 events against 30 drawn from the others, a drift where the
    Kolmogorov-Smirnov statistic reaches `steps` of thirty. River's own takes 0.3 ms an event."""

    WINDOW, RECENT = 100, 30

    def __init__(self, steps: int, rng: np.random.Generator) -> None:
        self.steps, self.rng = steps, rng

    def lengths(self, values: Floats) -> Lengths:
        """Events of each column until its drift."""
        runs = values.shape[1]
        events, fired = np.full(runs, len(values)), np.zeros(runs, dtype=bool)
        for end in range(self.WINDOW, len(values) + 1):
            at = np.flatnonzero(~fired)
            if not len(at):
                break
            reached = self._statistic(values[end - self.WINDOW : end, at]) >= self.steps
            events[at[reached]], fired[at[reached]] = end, True
        return Lengths(events, fired)

    def _statistic(self, window: Floats) -> Floats:
        older = self.WINDOW - self.RECENT
        drawn = self.rng.random((older, window.shape[1])).argpartition(self.RECENT, axis=0)[: self.RECENT]
        both = np.concatenate((np.take_along_axis(window[:older], drawn, axis=0), window[older:]))
        signs = np.where(np.argsort(both, axis=0) < self.RECENT, 1.0, -1.0)
        statistic: Floats = np.abs(np.cumsum(signs, axis=0)).max(axis=0)
        return statistic


def moved(values: Floats, change: RunChange) -> Floats:
    """The stream with its mean moved from the change on."""
    later = values.copy()
    later[change.healthy :] += change.shift
    return later
