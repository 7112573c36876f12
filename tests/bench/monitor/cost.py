"""What an event costs the judge as descriptors, slices and aliases grow tenfold: `python -m tests.bench.monitor.cost`.

Prints a table, writes `var/bench/cost.json`, and draws `var/bench/cost.svg`. Seconds are those of the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from monitor.describe.descriptors import NAMES
from monitor.judge import AliasState, Batch, start, update
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from tests.bench.tools.figures import Figure, tell

OUT = Path("var/bench/cost.json")
PICTURE = Path("var/bench/cost.svg")
SETTINGS = MonitorSettings(reference_events=500)
WARM, MEASURED, AT_ONCE, TRIES = 1_000, 4_000, 1_000, 3
WATCHES, PIECE, ROUNDS = (1, 16, 17, 33, 65, 100), 40, 4  # events of a piece; pieces of each watch
TENFOLD = 12.0  # what may become of ten times as much: close to linear
FLAT = 1.3


@dataclass(frozen=True, slots=True)
class Load:
    """The shape of the traffic: `events` of it go to each alias by turns, in batches of `AT_ONCE` over all."""

    descriptors: int = len(NAMES)
    slices: int = 4
    aliases: int = 1


def batches(load: Load, events: int, first: int, rng: np.random.Generator) -> list[tuple[int, Batch]]:
    """Healthy replies in batches, each of one alias, as the ingest agent makes them of a partition."""
    made, size = [], max(1, AT_ONCE // load.aliases)
    for low in range(first, first + events // load.aliases, size):
        for alias in range(load.aliases):
            made.append((alias, _batch(load, low, size, rng)))
    return made


def _batch(load: Load, low: int, size: int, rng: np.random.Generator) -> Batch:
    offsets = list(range(low, low + size))
    rows = ScoreRows(
        offsets=offsets,
        ids=[f"event-{offset:030d}" for offset in offsets],
        times_ms=[1_000_000 + 50 * offset for offset in offsets],
        versions=["support-0123456789ab"] * size,
        arms=["champion"] * size,
        clients=[f"client-{offset % 97}" for offset in offsets],
        statuses=[200] * size,
        ttft_ms=[20.0] * size,
        tpot_ms=[5.0] * size,
        latency_ms=[40.0] * size,
        descriptors=rng.standard_normal((size, load.descriptors)).round(4).tolist(),
        fingerprints=rng.integers(0, 2**63, size).tolist(),
        finish_reasons=["stop"] * size,
        answers=[f"answer {offset % 12}" for offset in offsets],
        tags=[{"tenant": f"t{offset % load.slices}"} for offset in offsets],
    )
    names = [f"x{j}" for j in range(load.descriptors)]
    return Batch(
        source="inference",
        partition=0,
        first_offset=low,
        last_offset=offsets[-1],
        descriptor_names=names,
        rows=rows,
        time_ms=rows.times_ms[-1],
    )


def microseconds(load: Load) -> float:
    """Of processor time for an event, once the references are complete: the best of some tries."""
    rng = np.random.default_rng(0)
    states: dict[int, AliasState] = {alias: start(f"alias-{alias}") for alias in range(load.aliases)}
    warm = max(WARM, SETTINGS.reference_events) * load.aliases
    _judge(states, batches(load, warm, 0, rng))
    waiting = batches(load, MEASURED * TRIES, warm // load.aliases, rng)
    each = len(waiting) // TRIES
    return min(_judge(states, waiting[k * each : (k + 1) * each]) for k in range(TRIES))


def watches() -> list[tuple[int, float]]:
    """Milliseconds of a piece of one watch, where so many take turns on one worker: references of the usual size, with
    a rhythm, categories and texts."""
    settings = MonitorSettings()
    waiting = [batch for _, batch in batches(Load(), settings.reference_events, 0, np.random.default_rng(0))]
    state = start("alias-0")
    for batch in waiting:
        state, _ = update(settings, state, batch)
    return [(n, _piece(settings, [_own(state, place) for place in range(n)])) for n in WATCHES]


def _own(state: AliasState, place: int) -> AliasState:
    """The same with a reference of its own."""
    replace = msgspec.structs.replace
    state = msgspec.json.decode(msgspec.json.encode(state), type=AliasState)
    ((version, watch),) = state.watches.items()
    assert watch.reference is not None
    reference = replace(watch.reference, digest=f"{watch.reference.digest}-{place}")
    return replace(state, watches={version: replace(watch, reference=reference)})


def _piece(settings: MonitorSettings, states: list[AliasState]) -> float:
    rng, low = np.random.default_rng(1), settings.reference_events
    spent = []
    for turn in range(1 + ROUNDS):
        batch = _batch(Load(), low + turn * PIECE, PIECE, rng)
        began = time.process_time()
        for place, state in enumerate(states):
            states[place], _ = update(settings, state, batch)
        spent.append(time.process_time() - began)
    return min(spent[1:]) / len(states) * 1e3


def _judge(states: dict[int, AliasState], work: Sequence[tuple[int, Batch]]) -> float:
    began = time.process_time()
    for alias, batch in work:
        states[alias], _ = update(SETTINGS, states[alias], batch)
    return (time.process_time() - began) / sum(len(batch.rows) for _, batch in work) * 1e6


AXES: dict[str, tuple[tuple[int, ...], Callable[[int], Load], float]] = {
    "descriptors": ((15, 30, 75, 150), lambda n: Load(descriptors=n), TENFOLD),
    "slices": ((4, 10, 20, 40), lambda n: Load(slices=n), FLAT),
    "aliases": ((1, 2, 5, 10), lambda n: Load(aliases=n), FLAT),
}


def curves() -> dict[str, list[tuple[int, float]]]:
    """Microseconds for an event along each axis."""
    return {name: [(n, microseconds(load(n))) for n in sizes] for name, (sizes, load, _) in AXES.items()}


def figures(found: dict[str, list[tuple[int, float]]]) -> list[Figure]:
    made = []
    for name, points in found.items():
        (few, cheap), (many, dear) = points[0], points[-1]
        note = ", ".join(f"{n}: {cost:.0f} us" for n, cost in points)
        made.append(
            Figure(f"cost of an event, {many} {name} over {few}", dear / cheap, "x", AXES[name][2], "lower", note=note)
        )
    return made


def pieces() -> Figure:
    """What the hundredth watch adds to each piece of the others."""
    points = watches()
    note = ", ".join(f"{n}: {cost:.2f} ms" for n, cost in points)
    worst = max(cost for _, cost in points[1:]) / points[0][1]
    return Figure(f"cost of a piece, up to {points[-1][0]} watches over one", worst, "x", FLAT, "lower", note=note)


def draw(found: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Cost over size, both logarithmic, with what linear and flat would be."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, points in found.items():
        sizes, costs = zip(*((n / points[0][0], cost) for n, cost in points), strict=True)
        axes.plot(sizes, costs, marker="o", label=f"{name} ({points[0][0]} to {points[-1][0]})")
    base = found["descriptors"][0][1]
    axes.plot([1, 10], [base, 10 * base], color="#aaaaaa", linestyle=":", label="linear")
    axes.set(xscale="log", yscale="log", xlabel="times as many", ylabel="processor time of an event, µs")
    axes.set_title("What an event costs the judge")
    axes.legend(frameon=False)
    axes.grid(visible=True, which="both", color="#e3e3e8")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)


def main() -> None:
    found = curves()
    draw(found, PICTURE)
    tell([*figures(found), pieces()], OUT)


if __name__ == "__main__":
    main()
