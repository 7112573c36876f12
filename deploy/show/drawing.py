"""Pictures as SVG that takes its colours from the page, so that they are right in light and dark."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each colour is drawn as a stand-in and becomes a CSS variable, so that the page decides about light and dark.
COLOURS = {
    "ink": ("#010101", "#1d1d1f"),
    "soft": ("#020202", "#6e6e73"),
    "grid": ("#030303", "#e3e3e8"),
    "paper": ("#040404", "#ffffff"),
    "harm": ("#050505", "#c2391b"),
    "good": ("#0a0a0a", "#1a7f5a"),
    "version0": ("#060606", "#3d6fb4"),
    "version1": ("#070707", "#1f8a70"),
    "version2": ("#080808", "#8d5fb0"),
    "version3": ("#090909", "#b07d1f"),
}


def tone(name: str) -> str:
    """Return the stand-in to draw with, so that the page's colour of this name shows."""
    return COLOURS[name][0]


def svg(draw: Callable[[], Figure]) -> str:
    """Return a figure as an SVG element, ready to stand in a page; the same figure gives the same text."""
    import matplotlib

    matplotlib.use("svg", force=False)
    style: dict[Any, Any] = {
        "svg.hashsalt": "homeostat",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 10,
    }
    with matplotlib.rc_context(style):
        out, figure = io.StringIO(), draw()
        _round_places(figure)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return themed(out.getvalue())


def _round_places(figure: Figure) -> None:
    """Round the places of the axes: the last digits of the layout are not always the same."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        left, bottom, width, height = (round(each, 4) for each in axis.get_position().bounds)
        axis.set_position((left, bottom, width, height))


def themed(svg: str) -> str:
    """Return the drawing without its XML head, its stand-ins replaced by CSS variables."""
    svg = svg[svg.index("<svg") :]
    for name, (stand_in, colour) in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{name}, {colour})")
    return svg


def plain(axis: Axes) -> None:
    """Remove everything from the axis but the measured."""
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.tick_params(colors=tone("soft"), length=0, labelsize=9)
    axis.grid(axis="y", color=tone("grid"), lw=0.8)
    axis.set_axisbelow(True)


def halo() -> list[Any]:
    """Return the halo of words that may lie on a line, so that they stay readable."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=5, foreground=tone("paper"))]


def title(axis: Axes, title: str, note: str) -> None:
    """Write the title above the axis, with a note next to it."""
    options: dict[str, Any] = {"textcoords": "offset points", "xycoords": "axes fraction", "va": "bottom"}
    axis.annotate(title, (0, 1), (0, 5), fontsize=11.5, fontweight="bold", color=tone("ink"), **options)
    axis.annotate(note, (0.175, 1), (0, 6), fontsize=8.5, color=tone("soft"), **options)
