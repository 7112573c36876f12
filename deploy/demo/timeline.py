"""The demo as a picture: right answers, evidence, which version answered, and when each event happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from deploy.demo.clients import RequestOutcome
from deploy.demo.wording import measured
from deploy.show.drawing import halo, plain, svg, title, tone
from deploy.show.intervals import Point, wilson
from deploy.show.times import offset
from monitor.metrics import YES_OR_NO
from streams.events import WindowClosed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EVIDENCE = {
    "quality": ("harm", "-", 2.2, "labels prove harm"),
    "estimated_quality": ("soft", "--", 1.3, "the model's own confidence"),
    "drift": ("version0", ":", 1.6, "messages look different"),
}
WINDOWS = 32
BARS = 90
LEAST_ANSWERS = 15
CEILING = 3.0  # log10: evidence beyond a thousand thresholds is drawn as that
LEAST_EVIDENCE = -6.0


@dataclass(frozen=True, slots=True)
class Level:
    """A stretch of the timeline, the accuracy measured over it, and its colour's name."""

    start_ms: int
    end_ms: int
    accuracy: float
    colour: str = "ink"


@dataclass(frozen=True, slots=True)
class Picture:
    """The contents of the timeline. Times are milliseconds since the epoch; `marks` are in the order of time."""

    outcomes: Sequence[RequestOutcome]
    windows: Sequence[WindowClosed]
    champions: Sequence[tuple[int, str]]  # since when which version was champion
    marks: Sequence[tuple[str, int]]
    training: tuple[int, int] | None = None
    origin_ms: int = 0
    origin: str = "the start"
    levels: Sequence[Level] = field(default=())
    metric: str = "exact_match"


def accuracy_points(
    outcomes: Sequence[RequestOutcome], cuts: Sequence[int] = (), windows: int = WINDOWS
) -> list[Point]:
    """Count answers over spans of equal time; a span with too few answers joins its neighbour, none crosses a cut."""
    known = sorted((o for o in outcomes if o.loss is not None), key=lambda o: o.answered_ms)
    if not known:
        return []
    start, end = known[0].answered_ms, known[-1].answered_ms + 1
    edges = [start, *sorted(cut for cut in cuts if start < cut < end), end]
    width = max((end - start) / windows, 1.0)
    points: list[Point] = []
    for left, right in pairwise(edges):
        points += _points([o for o in known if left <= o.answered_ms < right], width)
    return points


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places apart until neighbours are `gap` from each other, in order and within the bounds where they fit.

    >>> spread([1.0, 1.5, 5.0], gap=1.0, low=0.0, high=5.0)
    [1.0, 2.0, 5.0]
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else max(place, low))
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], moved[i + 1] - gap if i + 1 < len(moved) else high)
    return moved


def draw(picture: Picture) -> str:
    """Draw the timeline as an SVG element, ready to stand in a page; the same picture gives the same text."""
    return svg(lambda: _figure(picture))


def _figure(picture: Picture) -> Figure:
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(11.5, 7.4), layout="constrained")
    grid = figure.add_gridspec(4, 1, height_ratios=[0.62, 3.1, 2.0, 0.55], hspace=0.06)
    axes: list[Axes] = [figure.add_subplot(grid[i]) for i in range(4)]
    start, end = _span(picture)
    for axis in axes:
        axis.set_xlim(_minutes(picture, start), _minutes(picture, end))
        plain(axis)
    _mark_lines(axes, picture)
    _draw_accuracy(axes[1], picture)
    _draw_evidence(axes[2], picture)
    _draw_shares(axes[3], picture)
    for axis in axes[1:3]:
        axis.set_xticklabels([])
    axes[3].set_xlabel(f"minutes since {picture.origin}", color=tone("soft"))
    return figure


def _draw_accuracy(axis: Axes, picture: Picture) -> None:
    _, end = _span(picture)
    for (since, version), (until, _) in pairwise([*picture.champions, (end, "")]):
        colour = _version_colour(picture, version)
        axis.axvspan(_minutes(picture, since), _minutes(picture, until), color=colour, alpha=0.10, lw=0)
    if picture.training:
        left, right = (_minutes(picture, at) for at in picture.training)
        axis.axvspan(left, right, 0, 0.045, color=tone("soft"), alpha=0.55, lw=0)
        axis.text((left + right) / 2, 0.065, "training", ha="center", color=tone("soft"), fontsize=9)
    cuts = [at for _, at in picture.marks]
    points = accuracy_points(picture.outcomes, cuts)
    times = [_minutes(picture, (p.start_ms + p.end_ms) // 2) for p in points]
    bands = [wilson(p.right, p.count) for p in points]
    axis.fill_between(times, [b[0] for b in bands], [b[1] for b in bands], color=tone("ink"), alpha=0.13, lw=0)
    axis.plot(times, [p.right / p.count for p in points], color=tone("ink"), lw=1.9, marker="o", ms=3)
    _draw_levels(axis, picture)
    axis.set_ylim(0, 1.04)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    shown = f"line: {measured(picture.metric)} among consecutive answers; shade: 95 % interval; dashes: average"
    title(
        axis, measured(picture.metric).capitalize() if picture.metric in YES_OR_NO else measured(picture.metric), shown
    )


def _draw_levels(axis: Axes, picture: Picture) -> None:
    for level in picture.levels:
        left, right = _minutes(picture, level.start_ms), _minutes(picture, level.end_ms)
        axis.plot([left, right], [level.accuracy] * 2, color=tone(level.colour), lw=1.6, ls=(0, (4, 3)))
        under = level.accuracy > 0.5
        low, high = axis.get_xlim()
        narrow = right - left < 0.13 * (high - low)  # the line fills it: the words go well below
        axis.annotate(
            f"{100 * level.accuracy:.0f} %",
            (min((left + right) / 2, high - 0.045 * (high - low)), level.accuracy),
            (0, (-62 if narrow else -27) if under else 14),
            textcoords="offset points",
            va="top" if under else "bottom",
            ha="center",
            fontsize=19,
            fontweight="bold",
            color=tone(level.colour),
            path_effects=halo(),
        )


def _draw_evidence(axis: Axes, picture: Picture) -> None:
    lowest = -2.0
    for name, (colour, dashes, width, words) in EVIDENCE.items():
        shown = words
        for line in evidence_lines(picture.windows, name):
            lowest = min(lowest, *(value for _, value in line))
            times = [_minutes(picture, at) for at, _ in line]
            axis.plot(times, [v for _, v in line], color=tone(colour), ls=dashes, lw=width, label=shown)
            shown = "_"
    axis.axhline(0, color=tone("harm"), lw=1.1)
    axis.text(0.004, 0.12, "alarm threshold", color=tone("harm"), fontsize=9, transform=axis.get_yaxis_transform())
    ticks = [-6, -4, -2, 0, 2]
    axis.set_yticks(ticks, ["1/1,000,000", "1/10,000", "1/100", "1", "100"])
    axis.set_ylim(max(lowest, LEAST_EVIDENCE) - 0.3, CEILING + 0.4)
    title(axis, "Evidence of change", "in alarm thresholds; each line a factor of 100")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(
            loc="lower right",
            bbox_to_anchor=(1, 0.96),
            ncols=3,
            borderaxespad=0,
            frameon=False,
            fontsize=9,
            labelcolor=tone("soft"),
        )


def evidence_lines(windows: Sequence[WindowClosed], name: str) -> list[list[tuple[int, float]]]:
    """Return one detector's evidence at the end of each window; a line of its own for each version."""
    lines: dict[str, dict[int, float]] = {}
    for window in windows:
        if name in window.evidence:
            value = min(max(window.evidence[name], LEAST_EVIDENCE), CEILING)
            lines.setdefault(window.version, {})[window.end_ms] = value
    return [sorted(line.items()) for line in lines.values()]


def _draw_shares(axis: Axes, picture: Picture) -> None:
    start, end = _span(picture)
    step = max((end - start) / BARS, 1.0)
    lefts = [_minutes(picture, int(start + i * step)) for i in range(BARS)]
    below, place = [0.0] * BARS, 0.13
    for version, shares in answer_shares(picture.outcomes, start, step).items():
        colour = _version_colour(picture, version)
        axis.bar(lefts, shares, 1.03 * step / 60_000, below, align="edge", color=colour, lw=0)
        below = [one + other for one, other in zip(below, shares, strict=True)]
        axis.text(place, 1.16, f"\N{BLACK SQUARE} {version}", color=colour, transform=axis.transAxes)
        place += 0.028 + 0.0092 * len(version)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    title(axis, "Who answered", "")


def answer_shares(outcomes: Sequence[RequestOutcome], start: int, step: float) -> dict[str, list[float]]:
    """Return each version's share of the answers in `BARS` spans of `step` milliseconds."""
    counts: dict[str, list[int]] = {}
    for outcome in outcomes:
        if outcome.version:
            place = min(int((outcome.answered_ms - start) / step), BARS - 1)
            counts.setdefault(outcome.version, [0] * BARS)[place] += 1
    totals = [sum(column) or 1 for column in zip(*counts.values(), strict=True)]
    return {version: [n / total for n, total in zip(mine, totals, strict=True)] for version, mine in counts.items()}


def _mark_lines(axes: Sequence[Axes], picture: Picture) -> None:
    """Draw a line through all panels for each mark, its words on top where they do not overlap."""
    top = axes[0]
    top.set_ylim(0, 1)
    top.set_axis_off()
    left, right = top.get_xlim()
    gap = (right - left) / 11.5
    places = spread([_minutes(picture, at) for _, at in picture.marks], gap, left + gap / 3, right - gap / 3)
    for (name, at), place in zip(picture.marks, places, strict=True):
        minutes = _minutes(picture, at)
        for axis in axes[1:]:
            axis.axvline(minutes, color=tone("ink"), lw=0.9, ls=(0, (2, 2)), zorder=1)
        top.plot([minutes, minutes, place], [-0.05, 0.12, 0.34], color=tone("ink"), lw=0.8, clip_on=False)
        top.text(place, 0.74, name, ha="center", va="center", fontsize=9.5, fontweight="bold", color=tone("ink"))
        when = offset(at - picture.origin_ms)
        top.text(place, 0.45, when, ha="center", va="center", fontsize=8.5, color=tone("soft"))


def _points(outcomes: Sequence[RequestOutcome], width: float) -> list[Point]:
    groups: list[list[RequestOutcome]] = []
    for outcome in outcomes:
        group = groups[-1] if groups else []
        full = len(group) >= LEAST_ANSWERS and outcome.answered_ms - group[0].answered_ms >= width
        if not group or full:
            groups.append([outcome])
        else:
            group.append(outcome)
    if len(groups) > 1 and len(groups[-1]) < LEAST_ANSWERS:
        groups[-2:] = [groups[-2] + groups[-1]]
    return [Point(g[0].answered_ms, g[-1].answered_ms, sum(1.0 - (o.loss or 0.0) for o in g), len(g)) for g in groups]


def _span(picture: Picture) -> tuple[int, int]:
    times = [o.answered_ms for o in picture.outcomes] + [at for _, at in picture.marks]
    return (min(times), max(times) + 1_000) if times else (picture.origin_ms, picture.origin_ms + 60_000)


def _versions(picture: Picture) -> list[str]:
    named = [version for _, version in picture.champions] + [o.version for o in picture.outcomes if o.version]
    return list(dict.fromkeys(named))


def _version_colour(picture: Picture, version: str) -> str:
    return tone(f"version{_versions(picture).index(version) % 4}")


def _minutes(picture: Picture, at_ms: int) -> float:
    return (at_ms - picture.origin_ms) / 60_000
