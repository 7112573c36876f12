"""How the difference became clear, row by row: the confidence sequence of the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.show.drawing import halo, plain, svg, tone
from monitor.detectors.paired import bounds, counted, mean
from retrain.evaluation.checks import POINTS, TARGET, Check
from retrain.harness.pairing import PairedFiles
from retrain.harness.verdict import FileVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = 90  # at most, that are drawn
FIRST = 5  # rows: before these the interval is all there is
WIDEST = 3.0  # times the last interval: the early ones, far wider, are cut off


@dataclass(frozen=True, slots=True)
class Looks:
    """The mean difference and its interval after each of some numbers of rows, in the unit for people."""

    rows: list[int]
    means: list[float]
    lows: list[float]
    highs: list[float]


def draw(verdict: FileVerdict, found: PairedFiles) -> str:
    """Return the picture as SVG."""
    check = next(each for each in verdict.checks if each.name == TARGET)
    pairs = [each.scores for each in found.rows if each.part == TARGET]
    seen = looks([mine - theirs for mine, theirs in pairs], 2 * verdict.alpha, check.scale)
    return svg(lambda: _figure(seen, check))


def looks(differences: Sequence[float], alpha: float, scale: float) -> Looks:
    """Return what was known after so many rows, closer together at the beginning."""
    count = len(differences)
    rows = sorted({int(each) for each in np.geomspace(min(FIRST, count), count, LOOKS)})
    states = [counted(differences[:number]) for number in rows]
    intervals = [bounds(state.times, alpha) for state in states]
    return Looks(
        rows,
        [scale * mean(state) for state in states],
        [scale * low for low, _ in intervals],
        [scale * high for _, high in intervals],
    )


def _figure(seen: Looks, check: Check) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    axis = figure.add_subplot()
    needed = check.scale * check.needed
    colour = {True: "good", False: "harm", None: "version0"}[check.passed]
    axis.fill_between(seen.rows, seen.lows, seen.highs, color=tone(colour), alpha=0.16, lw=0)
    axis.plot(seen.rows, seen.means, color=tone(colour), lw=2.2)
    axis.axhline(0, color=tone("soft"), lw=0.9)
    if needed:
        axis.axhline(needed, color=tone("harm"), lw=1.4, ls=(0, (4, 3)))
    _bounded(axis, seen, needed)
    _worded(axis, seen, check, needed)
    return figure


def _bounded(axis: Axes, seen: Looks, needed: float) -> None:
    low, high = min(seen.lows[-1], needed, 0.0), max(seen.highs[-1], needed, 0.0)
    room = (WIDEST - 1) / 2 * ((high - low) or 1.0)
    axis.set_ylim(max(low - room, min(seen.lows)), min(high + room, max(seen.highs)))
    axis.set_xlim(seen.rows[0], max(seen.rows[-1], seen.rows[0] + 1) * 1.001)


def _worded(axis: Axes, seen: Looks, check: Check, needed: float) -> None:
    plain(axis)
    unit = "points" if check.unit == POINTS else check.unit
    axis.set_xlabel("rows compared", color=tone("soft"), fontsize=9)
    axis.set_ylabel(f"candidate minus champion, {unit}", color=tone("soft"), fontsize=9)
    common: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "path_effects": halo()}
    for words, place, va in (("candidate better", 1, "top"), ("candidate worse", 0, "bottom")):
        offset = (0, -4 if place else 4)
        axis.annotate(
            words, (0.995, place), offset, xycoords="axes fraction", ha="right", va=va, color=tone("soft"), **common
        )
    if needed:
        words = f"must be above {needed:+.3g}".replace("-", "\N{MINUS SIGN}")
        across = ("axes fraction", "data")
        axis.annotate(words, (0.995, needed), (0, 4), xycoords=across, ha="right", color=tone("harm"), **common)
