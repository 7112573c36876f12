"""The comparison as a picture: how good the answers were, each policy's actions, and how long each harm lasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.backtest.harms import HarmPeriod, Labels
from deploy.backtest.measures import HARM_ALARMS, Cost, meant
from deploy.backtest.observed import Facts
from deploy.backtest.outcome import RaisedAlarm
from deploy.backtest.report import BacktestReport, PolicyResult
from deploy.show.drawing import plain, svg, title, tone
from deploy.show.intervals import Point, wilson
from deploy.show.times import clock, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 48
FEWEST_LABELS = 10
HARMS_SHOWN = 3
MARKS: dict[str, tuple[str, str, str]] = {  # kind: marker, tone, words
    "quality": ("D", "harm", "alarm: labels prove harm"),
    "estimated_quality": ("d", "version3", "alarm: estimated harm"),
    "complaints": ("v", "version3", "alarm: complaints"),
    "drift": ("o", "version0", "alarm: looks different"),
    "other": ("s", "soft", "alarm: latency, errors, ..."),
}
ASKED = (">", "ink", "retraining asked for")
LIFT = 0.13  # alarms above the line, requests below: they may come at once
UNITS = ((86_400_000, "days", 4), (3_600_000, "hours", 3), (60_000, "minutes", 3), (1_000, "seconds", 0))


@dataclass(frozen=True, slots=True)
class Scale:
    """Times as numbers on an axis."""

    origin_ms: int
    unit_ms: int
    unit: str

    def at(self, time_ms: float) -> float:
        """Return the place of a time."""
        return (time_ms - self.origin_ms) / self.unit_ms


def scale(origin_ms: int, length_ms: float) -> Scale:
    """Return the largest unit of which the length has several.

    >>> scale(0, 7_200_000).unit, scale(0, 86_400_000).unit
    ('minutes', 'hours')
    """
    size, unit, _ = next(each for each in UNITS if length_ms >= each[0] * each[2])
    return Scale(origin_ms, size, unit)


def points(labels: Labels, cuts: Sequence[int] = (), most: int = POINTS) -> list[Point]:
    """Count labelled answers in order, in spans of equal number; none crosses a cut, unless they are too few."""
    count = len(labels.losses)
    size = max(FEWEST_LABELS, -(-count // most))
    inner = np.searchsorted(labels.times_ms, list(cuts)).tolist()
    edges = sorted({0, count, *(at for at in inner if FEWEST_LABELS <= at <= count - FEWEST_LABELS)})
    found = []
    for low, high in pairwise(edges):
        parts = max(1, (high - low) // size)
        bounds = np.linspace(low, high, parts + 1).astype(int).tolist()
        found += [_point(labels, *each) for each in pairwise(bounds)]
    return found


def draw(report: BacktestReport, facts: Facts) -> str:
    """Draw the picture as an SVG element; the same report gives the same text."""
    return svg(lambda: _figure(report, facts))


def _figure(report: BacktestReport, facts: Facts) -> Figure:
    import matplotlib.figure

    shown = worst(report.harms)
    lanes = len(report.results)
    heights = [*([0.52 * lanes + 0.45] if shown else []), 2.1, 0.36 * lanes + 0.35]
    figure = matplotlib.figure.Figure(figsize=(11.5, sum(heights) + 1.6), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0.14)
    if shown:
        parts = grid[0].subgridspec(1, len(shown), wspace=0.06)
        for column, number in enumerate(shown):
            _draw_harm(figure.add_subplot(parts[column]), report, number, named=not column)
    over = scale(report.first_ms, report.last_ms - report.first_ms)
    _draw_accuracy(_over_all(figure.add_subplot(grid[-2]), report, over), report, facts, over)
    _draw_doings(_over_all(figure.add_subplot(grid[-1]), report, over), report, over)
    return figure


def _over_all(axis: Axes, report: BacktestReport, over: Scale) -> Axes:
    plain(axis)
    end = over.at(report.last_ms) or 1.0
    axis.set_xlim(-0.006 * end, 1.006 * end)
    return axis


def worst(harms: Sequence[HarmPeriod]) -> list[int]:
    """Return the harms to show large: those with the largest loss among the labelled, in their order."""
    ranked = sorted(range(len(harms)), key=lambda i: -harms[i].loss * harms[i].labels)
    return sorted(ranked[:HARMS_SHOWN])


def _draw_accuracy(axis: Axes, report: BacktestReport, facts: Facts, over: Scale) -> None:
    _shade(axis, report, over, words=True)
    for version, labels in facts.labels.items():
        cuts = [edge for harm in report.harms if harm.version == version for edge in (harm.onset_ms, harm.end_ms + 1)]
        found = [point for point in points(labels, cuts) if point.count]
        times = [over.at((point.start_ms + point.end_ms) / 2) for point in found]
        bands = [wilson(point.right, point.count) for point in found]
        axis.fill_between(times, [b[0] for b in bands], [b[1] for b in bands], color=tone("ink"), alpha=0.13, lw=0)
        axis.plot(times, [p.right / p.count for p in found], color=tone("ink"), lw=1.7, marker="o", ms=3)
    for since, version in report.champions[1:]:
        axis.axvline(over.at(since), color=tone("good"), lw=1.2)
        axis.text(over.at(since), 0.03, f" {version}", color=tone("good"), fontsize=8.5)
    axis.set_ylim(0, 1.04)
    axis.set_xticklabels([])
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    title(
        axis,
        report.metric or "Right answers",
        "as labelled; shade: 95 % interval; red: harm, as all labels show it afterwards",
    )


def _shade(axis: Axes, report: BacktestReport, over: Scale, words: bool) -> None:
    for number, harm in enumerate(report.harms, 1):
        left, right = over.at(harm.onset_ms), over.at(harm.end_ms)
        axis.axvspan(left, right, color=tone("harm"), alpha=0.12, lw=0)
        if words:
            name = "harm" if len(report.harms) == 1 else f"harm {number}"
            axis.text(left, 0.1, f" {name}", color=tone("harm"), fontsize=9.5, fontweight="bold")


def _draw_doings(axis: Axes, report: BacktestReport, over: Scale) -> None:
    _shade(axis, report, over, words=False)
    used: dict[str, tuple[str, str, str]] = {}
    for place, result in enumerate(reversed(report.results)):
        axis.axhline(place, color=tone("grid"), lw=0.8, zorder=0)
        for alarm in result.outcome.alarms:
            name = alarm.kind if alarm.kind in MARKS else "other"
            used[name] = MARKS[name]
            _mark(axis, over.at(alarm.raised_ms), place + LIFT, MARKS[name], hollow=mistaken(alarm, report))
        for asked in result.outcome.retrainings:
            used["asked"] = ASKED
            _mark(axis, over.at(asked.time_ms), place - LIFT, ASKED, hollow=False)
    axis.grid(visible=False)
    axis.set_ylim(-0.6, len(report.results) - 0.4)
    axis.set_xlabel(f"{over.unit} since {clock(report.first_ms)}", color=tone("soft"))
    _names(axis, report.results)
    title(axis, "What each did", "hollow: false page")
    _legend(axis, list(used.values()))


def mistaken(alarm: RaisedAlarm, report: BacktestReport) -> bool:
    """Check that it is an alarm of harm where the labels show none."""
    return alarm.kind in HARM_ALARMS and report.labels > 0 and not any(meant(alarm, harm) for harm in report.harms)


def _draw_harm(axis: Axes, report: BacktestReport, number: int, named: bool) -> None:
    """Draw the time from the onset to the request, for each policy."""
    plain(axis)
    costs = [result.measures.costs[number] for result in report.results]
    onset_ms = costs[0].harm.onset_ms
    longest = max(_lasts(each) for each in costs)
    near = scale(0, longest * 1_000)
    for place, each in enumerate(reversed(costs)):
        _draw_cost(axis, each, place, near, report.lost)
    end = near.at(longest * 1_000) or 1.0
    axis.set_xlim(-0.012 * end, 1.34 * end)
    axis.set_ylim(-0.6, len(costs) - 0.4)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", color=tone("grid"), lw=0.8)
    axis.set_xlabel(f"{near.unit} since the onset, {clock(onset_ms)}", color=tone("soft"))
    _names(axis, report.results if named else [None] * len(costs))
    which = "Served until a retraining was asked for"
    if len(report.harms) > 1:
        which = f"Harm {number + 1}: {which.lower()}" if named else f"Harm {number + 1}"
    axis.set_title(which, loc="left", fontsize=11.5, fontweight="bold", color=tone("ink"))


def _lasts(cost: Cost) -> float:
    """Return the seconds from the onset to the request; to the harm's end where there was none."""
    lasted = (cost.harm.end_ms - cost.harm.onset_ms) / 1_000
    return max(cost.found_after_s or 0.0, lasted if cost.asked_after_s is None else cost.asked_after_s)


def _draw_cost(axis: Axes, each: Cost, place: int, near: Scale, lost: str) -> None:
    length = near.at(1_000 * _lasts(each))
    axis.barh(place, length, height=0.46, color=tone("harm"), alpha=0.32, lw=0)
    if each.found is not None and each.found_after_s is not None:
        mark = MARKS.get(each.found, MARKS["other"])
        _mark(axis, near.at(1_000 * each.found_after_s), place + LIFT, mark, hollow=False)
    if each.asked_after_s is not None:
        _mark(axis, length, place - LIFT, ASKED, hollow=False)
    when = "asked before it began" if each.asked_before else "never asked"
    when = when if each.asked_after_s is None else duration(each.asked_after_s)
    served = "" if each.loss is None else f"{each.loss:,.0f} {lost}"
    options: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
    axis.annotate(served, (length, place), (11, 5.5), fontsize=10, fontweight="bold", color=tone("ink"), **options)
    axis.annotate(when, (length, place), (11, -6.5), fontsize=8.5, color=tone("soft"), **options)


def _mark(axis: Axes, at: float, place: float, mark: tuple[str, str, str], hollow: bool) -> None:
    marker, name, _ = mark
    face = "none" if hollow else tone(name)
    axis.plot([at], [place], marker, ms=8.5, mec=tone(name), mfc=face, mew=1.4, zorder=3)


def _names(axis: Axes, results: Sequence[PolicyResult | None]) -> None:
    axis.set_yticks(range(len(results)), [each.name if each else "" for each in reversed(results)])
    for label, each in zip(axis.get_yticklabels(), reversed(results), strict=True):
        label.set_color(tone("soft" if each and each.recorded else "ink"))
        label.set_fontsize(10)


def _legend(axis: Axes, marks: Sequence[tuple[str, str, str]]) -> None:
    import matplotlib.lines

    handles = [
        matplotlib.lines.Line2D([], [], marker=marker, color=tone(name), ls="", ms=7.5, label=words)
        for marker, name, words in sorted(marks, key=lambda mark: mark != ASKED)
    ]
    if handles:
        options: dict[str, Any] = {"frameon": False, "fontsize": 9, "labelcolor": tone("soft"), "borderaxespad": 0}
        axis.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1.02), ncols=5, handletextpad=0.2, **options)


def _point(labels: Labels, low: int, high: int) -> Point:
    good = high - low - float(labels.losses[low:high].sum())
    last = max(low, high - 1)
    return Point(int(labels.times_ms[low]), int(labels.times_ms[last]), good, high - low)
