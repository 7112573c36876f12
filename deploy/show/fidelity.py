"""The fidelity of synthetic rows as a page that stands alone, and as JSON next to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.show.intervals import wilson
from retrain.synthetic.fidelity import FidelityReport, ShareCount

PAGE, NUMBERS = "fidelity.html", "fidelity.json"


def write(report: FidelityReport, title: str, folder: Path) -> Path:
    """Write page and numbers into a folder; return the page's path. Raise OSError where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NUMBERS).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    page = folder / PAGE
    page.write_text(render(report, title), encoding="utf-8")
    return page


def render(report: FidelityReport, title: str) -> str:
    """Return the page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    scores = [(each, each.right / each.of, wilson(each.right, each.of)) for each in report.scores]
    return environment.get_template("fidelity.html.jinja").render(
        title=title,
        report=report,
        tables=[("Label", bars(report.labels)), ("Group", bars(report.groups, report.real, report.synthetic))],
        scores=scores,
    )


def bars(counts: Sequence[ShareCount], real: int = 0, synthetic: int = 0) -> list[tuple[ShareCount, float, float]]:
    """Return each name with its shares of so many real and so many synthetic rows; without these, of those counted.

    >>> bars([ShareCount("a", 3, 0), ShareCount("b", 1, 2)])[0][1:]
    (0.75, 0.0)
    """
    real = real or sum(each.real for each in counts) or 1
    synthetic = synthetic or sum(each.synthetic for each in counts) or 1
    return [(each, each.real / real, each.synthetic / synthetic) for each in counts]
