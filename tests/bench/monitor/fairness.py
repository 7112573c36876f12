"""How rarely a fair service is called unfair, and how soon a gap is found: `python -m tests.bench.monitor.fairness`.

Two groups, a small one and the rest; one in ten answers is wrong, a gap is added to the small group's. Prints a table
and writes `var/bench/fairness.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import numpy as np

from monitor.settings import Fairness
from monitor.signals.comparison import GroupHarm, Outcomes, State, about, restarted
from monitor.signals.gaps import report
from tests.bench.tools.figures import Figure, tell
from tests.monitor.support.plain import compared

OUT = Path("var/bench/fairness.json")
RATE = 0.1
HEALTHY = 500  # events before a gap opens
CALLED = 100  # events in one call


@dataclass(frozen=True, slots=True)
class World:
    """`share`: of the small group. `gap`: of its wrong answers over the rest's. `drift`: of both, up and down."""

    share: float
    gap: float
    drift: float = 0.0

    def events(self, seed: int, first: int, count: int) -> Outcomes:
        rng = np.random.default_rng([seed, first])
        small = rng.random(count) < self.share
        rate = RATE + self.drift * (1 - np.cos((first + np.arange(count)) / 200.0)) / 2 + self.gap * small
        ids = [f"e{first + k}" for k in range(count)]
        tags = [{"group": "small" if each else "rest"} for each in small]
        return Outcomes(ids, [0] * count, tags, (rng.random(count) < rate).astype(float).tolist())


def pairs(state: State) -> int:
    """Of all groups and measures."""
    return sum(
        sum(group.times.values())
        for keys in state.measures.values()
        for compared in keys.values()
        for group in compared.groups.values()
    )


def between(settings: Fairness, world: World, *, events: int, seed: int) -> tuple[int, int]:
    """Pairs and false alarms of one long stream; each alarm is taken back at once."""
    state, alarms = State(), 0
    for first in range(0, events, CALLED):
        state, found = compared(settings, state, "quality", world.events(seed, first, CALLED))
        alarms += len(found)
        for each in found:
            state = restarted(state, about("quality", each.key, each.value))
    return pairs(state), alarms


def first_alarm(settings: Fairness, world: World, *, seed: int, most: int) -> tuple[int, GroupHarm | None]:
    """Events until the first alarm, `most` where there is none."""
    state = State()
    for first in range(0, most, CALLED):
        state, found = compared(settings, state, "quality", world.events(seed, first, CALLED))
        if found:
            return int(found[0].last[0][1:]) + 1, found[0]
    return most, None


def delay(settings: Fairness, world: World, *, seed: int, most: int = 30_000) -> tuple[int, int] | None:
    """Events and pairs of the small group from where its gap opens to the alarm; None where an alarm came before."""
    state, found = compared(settings, State(), "quality", replace(world, gap=0.0).events(seed, 0, HEALTHY))
    before, size = _small(state), CALLED
    for first in range(HEALTHY, most, size):
        if found:
            break
        seen = world.events(seed, first, size)
        state, found = compared(settings, state, "quality", seen)
    mine = [each for each in found if each.value == "small"]
    if not mine or int(mine[0].last[0][1:]) < HEALTHY:
        return None
    at = int(mine[0].last[0][1:])
    last = first + size - 1  # pairs of the last call that came after the alarm, as many as its events
    return at - HEALTHY + 1, round((_small(state) - before) * (at - HEALTHY + 1) / (last - HEALTHY + 1))


def _small(state: State) -> int:
    groups = state.measures["quality"]["group"].groups
    return sum(groups["small"].times.values()) if "small" in groups else 0


def false_alarms(arl: int = 1_000, runs: int = 24) -> list[Figure]:
    """At the gap that is tolerated, and far from it."""
    settings = Fairness(arl=arl)
    worlds = {
        "at the tolerated gap, group of 10 %": World(0.1, settings.tolerated),
        "at the tolerated gap, group of 30 %": World(0.3, settings.tolerated),
        "no gap, group of 30 %": World(0.3, 0.0),
        "no gap, both drift by 30 points": World(0.3, 0.0, drift=0.3),
    }
    figures = []
    for name, world in worlds.items():
        told = [between(settings, world, events=5_000, seed=seed) for seed in range(runs)]
        length = sum(count for count, _ in told) / max(sum(alarms for _, alarms in told), 1)
        note = f"{sum(alarms for _, alarms in told)} alarms in {sum(count for count, _ in told)} pairs"
        figures.append(Figure(f"pairs per false alarm, {arl} asked, {name}", length, "pairs", arl, "higher", note=note))
    return figures


def early(arl: int = 1_000, runs: int = 200) -> Figure:
    """Runs at the tolerated gap with an alarm within a tenth of the pairs asked for, counted from where it may."""
    settings = Fairness(arl=arl, least=1)
    events = [first_alarm(settings, World(0.5, settings.tolerated), seed=seed, most=arl // 10) for seed in range(runs)]
    share = mean(found is not None for _, found in events)
    return Figure("runs with a false alarm before a tenth of them", share, "share", 0.1, "lower")


def intervals(runs: int = 200, alpha: float = 0.1) -> Figure:
    """Runs whose interval misses the gap at any of 20 looks."""
    settings, world = Fairness(alpha=alpha), World(0.3, 0.1)
    missed = 0
    for seed in range(runs):
        state, out = State(), False
        for first in range(0, 2_000, CALLED):
            state, _ = compared(settings, state, "quality", world.events(seed, first, CALLED))
            gaps = [each for each in report(settings, state) if each.value == "small"]
            out |= any(not each.low <= world.gap <= each.high for each in gaps)
        missed += out
    return Figure("intervals that ever miss the gap, 10 % asked", missed / runs, "share", alpha, "lower")


def power(runs: int = 40) -> list[Figure]:
    """Pairs and events from where the gap opens, median; 10,000 pairs a false alarm, 5 points tolerated."""
    figures = []
    for share in (0.1, 0.3):
        for gap in (0.1, 0.2):
            told = [delay(Fairness(), World(share, gap), seed=seed) for seed in range(runs)]
            figures += _power(f"group of {share:.0%}, gap of {gap * 100:.0f} points", told)
    return figures


def _power(name: str, told: Sequence[tuple[int, int] | None]) -> list[Figure]:
    found = [each for each in told if each is not None]
    note = f"{len(found)} of {len(told)} runs"
    return [
        Figure(f"pairs to notice, {name}", median(count for _, count in found), "pairs", note=note),
        Figure(f"events to notice, {name}", median(count for count, _ in found), "events", note=note),
    ]


def figures() -> list[Figure]:
    """All of them; about a minute."""
    return [*false_alarms(), early(), intervals(), *power()]


def main() -> None:
    tell(figures(), OUT)


if __name__ == "__main__":
    main()
