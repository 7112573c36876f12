"""The comparison as a page that stands alone, and as JSON for programs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deploy.backtest import table
from deploy.backtest.observed import Facts
from deploy.backtest.picture import draw
from deploy.backtest.report import BacktestReport, reaction, verdict
from deploy.show.times import clock

SHOWN = 200  # lines of each policy; backtest.json has them all


def write(report: BacktestReport, facts: Facts, folder: Path) -> Path:
    """Write `backtest.html` and `backtest.json` into the folder, made where it is missing. Return the page's path;
    raise OSError where writing fails."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backtest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    page = folder / "backtest.html"
    page.write_text(render(report, draw(report, facts)), encoding="utf-8")
    return page


def render(report: BacktestReport, svg: str) -> str:
    """Return the page."""
    import jinja2

    loader = jinja2.FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1] / "show"])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"clock": clock}
    return environment.get_template("backtest.html.jinja").render(
        report=report,
        sentence=verdict(report),
        rows=[(name, [show(result.measures) for result in report.results]) for name, show in table.rows(report)],
        header=table.header(report),
        actions=[(result, table.actions(result, SHOWN)) for result in report.results],
        caption=caption(report),
        svg=svg,
    )


def caption(report: BacktestReport) -> str:
    """Describe the picture in words, for readers who do not see it."""
    return " ".join(f"{result.name}: {reaction(result.measures, report.lost)}." for result in report.results)
