"""The comparison as a page that stands alone, and as JSON for programs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deploy.backtest import table
from deploy.backtest.observed import Facts
from deploy.backtest.picture import draw, moment
from deploy.backtest.report import Report, asked, span, verdict

TOLD = 200  # lines of each story; backtest.json has them all


def write(report: Report, facts: Facts, folder: Path) -> Path:
    """Writes `backtest.html` and `backtest.json` into the folder, which is made where it is missing; the page's path.
    OSError where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backtest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    page = folder / "backtest.html"
    page.write_text(render(report, draw(report, facts)), encoding="utf-8")
    return page


def render(report: Report, svg: str) -> str:
    """The page."""
    import jinja2

    loader = jinja2.FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1] / "show"])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"moment": moment, "span": span}
    return environment.get_template("backtest.html.jinja").render(
        report=report,
        sentence=verdict(report),
        rows=[(name, [tell(told.measures) for told in report.told]) for name, tell in table.rows(report)],
        header=table.header(report),
        stories=[(told, table.doings(told, TOLD)) for told in report.told],
        caption=caption(report),
        svg=svg,
    )


def caption(report: Report) -> str:
    """The picture in words, for those who do not see it."""
    return " ".join(f"{told.name}: {asked(told.measures)}." for told in report.told)
