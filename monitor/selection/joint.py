"""What several sources of labels prove together: each tests its own limit, and their evidence adds up.

Sources have different rates of errors: to pool them would raise an alarm whenever their mix moves. So each has its own
reference, limit and Shiryaev-Roberts statistic `R`, which moves with its own labels only. While the risk of each is
within its limit, `R - labels` of each is a supermartingale whatever the others do; so is the sum over all of them less
all labels. When the sum reaches `arl`, at least `arl` labels of all sources together have passed on average (Shin,
Ramdas and Rinaldo 2022). No weights are needed: a source that is silent adds nothing, and costs the others nothing.

With thresholds of their own that says: the sum of each statistic over its threshold reaches 1. So a source reaches the
sum's threshold where its own statistic reaches what the others leave of it.

>>> detectors = {"crm": Risk(0.1, 1_000), "app": Risk(0.3, 1_000)}
>>> states = {name: each.start() for name, each in detectors.items()}
>>> for k in range(10):
...     for name in detectors:
...         states, found = follow(detectors, states, name, [1.0], [(f"{name}{k}", k)])
...         if found:
...             print(name, k, found[0].since)
crm 4 ('crm0', 0)
>>> all(state.episode.open for state in states.values()), evidence(detectors, states) > 1
(True, True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import structs

from monitor.detectors import risk
from monitor.detectors.episode import QUIET, Episode, Over
from monitor.detectors.interface import Moment
from monitor.detectors.risk import ProvenHarm, Risk

LEAST_LEFT = 1e-6  # of a threshold, where the others have reached all of it

States = Mapping[str, risk.State]


def evidence(detectors: Mapping[str, Risk], states: States) -> float:
    """Return the sum of each source's statistic over its threshold: an alarm is raised where it reaches 1."""
    return sum(each.evidence(states[name]) for name, each in detectors.items() if name in states)


def follow(
    detectors: Mapping[str, Risk],
    states: States,
    source: str,
    losses: Sequence[float],
    moments: Sequence[Moment],
    clear_after: int = 0,
    weights: Sequence[int] = (),
    beyond: float = 0.0,
) -> tuple[dict[str, risk.State], list[ProvenHarm | Over]]:
    """Take losses of one source, as `Risk.follow` does, while those of the others stand. An alarm is one of all
    sources: it is open for each of them, and over once the sum has been quiet for `clear_after` steps of any.
    `beyond`: the evidence of sources that are tested in another way."""
    found: list[ProvenHarm | Over] = []
    after = dict(states)
    for k, (loss, moment) in enumerate(zip(losses, moments, strict=True)):
        after, transitions = _one(detectors, after, source, (loss, moment, *weights[k : k + 1]), clear_after, beyond)
        found += transitions
    return after, found


def _one(
    detectors: Mapping[str, Risk],
    states: dict[str, risk.State],
    source: str,
    row: tuple[Any, ...],
    clear_after: int,
    beyond: float,
) -> tuple[dict[str, risk.State], list[ProvenHarm | Over]]:
    detector, state = detectors[source], states[source]
    others = beyond + evidence({name: each for name, each in detectors.items() if name != source}, states)
    left = max(LEAST_LEFT, 1.0 - others)
    silent = others < QUIET or not state.episode.open
    part = replace(detector, arl=detector.arl * left)
    loss, moment, *weights = row
    state, found = part.follow(state, [loss], [moment], clear_after if silent else 0, weights)
    over = any(isinstance(each, Over) for each in found)
    episode = state.episode if silent else Episode(state.episode.open)
    return {
        name: structs.replace(risk.restarted(each) if over and name != source else each, episode=episode)
        for name, each in (states | {source: state}).items()
    }, found
