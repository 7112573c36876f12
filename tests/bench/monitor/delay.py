"""How soon a moved mean is found, beside River's detectors tuned to the same measured run length.

Delays are counted from the change, after `HEALTHY` events in which the run stayed silent. A peer is matched by
bisection of its one parameter until its mean run length, on healthy streams of the same world and cut off at the same
horizon, is about ours; KSWIN's statistic has thirty steps, so the nearest of them is taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from river.drift import ADWIN, PageHinkley

from tests.bench.monitor import rivals
from tests.bench.monitor.rivals import FastKswin
from tests.bench.monitor.runs import Lengths, RunChange, Watched, run_lengths
from tests.bench.monitor.worlds import DEPENDENT, GAUSSIAN, Floats, Make
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

ARL, REFERENCE, HEALTHY = 10_000, 2_000, 1_000
HORIZON, AFTER = 4 * ARL, 8_000  # events, healthy and after a change
PEER_RUNS = 10  # of our runs, one of a peer's: 40 tell a mean to a sixth
CLOSE = 0.05  # of a mean run length: matched
SHIFTS = (0.25, 0.5, 0.75, 1.0, 1.5)
GOALS = {"independent": {0.25: 260.0, 0.5: 76.0, 1.0: 23.0}, "AR(1) 0.2": {0.25: 380.0, 0.5: 107.0, 1.0: 45.0}}
WORLDS: dict[str, Make] = {"independent": GAUSSIAN, "AR(1) 0.2": DEPENDENT["AR(1) 0.2"]}
PICTURE = Path("var/bench/monitor-delay")

Detect = Callable[[Floats], Lengths]
Delays = dict[float, float]


@dataclass(frozen=True, slots=True)
class Peer:
    """A detector whose parameter was matched: what it was set to, and the mean run length that gave."""

    name: str
    setting: str
    mean: float
    detect: Detect


def measured(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    curves: dict[str, dict[str, Delays]] = {}
    for world, make in WORLDS.items():
        runs = 40 if quick else 400
        healthy = run_lengths(make, Watched(ARL, REFERENCE), runs=runs, horizon=HORIZON, seed=5)
        ours = {shift: _delay(make, shift, runs) for shift in SHIFTS}
        note(f"delays on {world} events")
        peers = matched(make, healthy.mean, runs // PEER_RUNS)
        theirs = {peer.name: _peer_delays(peer, make, runs // PEER_RUNS) for peer in peers}
        curves[world] = {"Homeostat": ours, **theirs}
        figures += [*_lengths(world, healthy, peers), *_figures(world, ours, theirs)]
        note(f"peers on {world} events")
    draw(curves, PICTURE)
    return figures


def _delay(make: Make, shift: float, runs: int) -> float:
    change = RunChange(HEALTHY, shift)
    found = run_lengths(make, Watched(ARL, REFERENCE), runs=runs, horizon=HEALTHY + AFTER, change=change, seed=6)
    return found.after(HEALTHY).mean


def matched(make: Make, mean: float, runs: int) -> list[Peer]:
    """River's detectors, each with about this mean run length."""
    values = rivals.streams(make, Watched(ARL, REFERENCE), runs=runs, of=runs, horizon=HORIZON, seed=7)
    return [
        _tuned("ADWIN", "delta", _adwin, values, mean, (1e-3, 0.5), rising=False),
        _tuned("Page-Hinkley", "threshold", _page_hinkley, values, mean, (60.0, 300.0), rising=True),
        _kswin(values, mean),
    ]


def _adwin(delta: float) -> Detect:
    return lambda values: rivals.lengths(lambda: ADWIN(delta=delta), values)


def _page_hinkley(threshold: float) -> Detect:
    return lambda values: rivals.lengths(lambda: PageHinkley(threshold=threshold), values)


def _tuned(
    name: str,
    parameter: str,
    made: Callable[[float], Detect],
    values: Floats,
    mean: float,
    bounds: tuple[float, float],
    *,
    rising: bool,
) -> Peer:
    """By bisection of the parameter's logarithm."""
    low, high = bounds
    for _ in range(7):
        middle = math.sqrt(low * high)
        reached = made(middle)(values).mean
        low, high = (middle, high) if (reached < mean) is rising else (low, middle)
        if abs(reached / mean - 1.0) < CLOSE:
            break
    return Peer(name, f"{parameter} {middle:.3g}", reached, made(middle))


def _kswin(values: Floats, mean: float) -> Peer:
    def detect(steps: int) -> Detect:
        return lambda seen: FastKswin(steps, np.random.default_rng(8)).lengths(seen)

    means = {steps: detect(steps)(values).mean for steps in (17, 18, 19)}
    steps = min(means, key=lambda each: abs(math.log(means[each] / mean)))
    return Peer("KSWIN", f"statistic {steps}/30", means[steps], detect(steps))


def _peer_delays(peer: Peer, make: Make, runs: int) -> Delays:
    watched, horizon = Watched(ARL, REFERENCE), HEALTHY + AFTER
    values = rivals.streams(make, watched, runs=runs, of=runs, horizon=horizon, seed=6)
    found = {shift: peer.detect(rivals.moved(values, RunChange(HEALTHY, shift))) for shift in SHIFTS}
    return {shift: each.after(HEALTHY).mean for shift, each in found.items()}


def _lengths(world: str, healthy: Lengths, peers: list[Peer]) -> list[Figure]:
    """What was matched."""
    what = f"{world}, asked {ARL}: mean run"
    cut = f"{healthy.censored:.1%} cut off at {HORIZON}"
    ours = [Figure(what, healthy.mean, "events", ARL, "higher", note=cut)]
    return ours + [Figure(f"{what}, {peer.name}", peer.mean, "events", note=peer.setting) for peer in peers]


def _figures(world: str, ours: Delays, theirs: dict[str, Delays]) -> list[Figure]:
    figures = []
    for shift in SHIFTS:
        others = ", ".join(f"{name} {delays[shift]:.0f}" for name, delays in theirs.items() if name != "ADWIN")
        what = f"{world}: mean delay at {shift:g} sigma"
        goal, adwin = GOALS[world].get(shift), round(theirs["ADWIN"][shift], 1)
        figures.append(
            Figure(what, ours[shift], "events", goal, "lower", "ADWIN", adwin, f"matched; {others}; cut off at {AFTER}")
        )
    return figures


def draw(curves: dict[str, dict[str, Delays]], path: Path) -> None:
    """One panel a world, as SVG and PNG."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(10, 4.2), layout="constrained")
    for place, (world, lines) in enumerate(curves.items(), 1):
        axes = picture.add_subplot(1, len(curves), place)
        for name, delays in lines.items():
            axes.plot(list(delays), list(delays.values()), marker="o", linewidth=2.5 if name == "Homeostat" else 1.2)
        axes.set_yscale("log")
        axes.set(title=f"{world} events", xlabel="shift of the mean, sigma", ylabel="mean delay, events")
        axes.grid(visible=True, which="both", alpha=0.25)
    names = list(next(iter(curves.values())))
    picture.legend(
        axes.lines, names, loc="outside lower center", ncols=len(names), title="at equal measured run length"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".svg", ".png"):
        picture.savefig(path.with_suffix(suffix), dpi=150)
