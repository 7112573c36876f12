"""The verdict on two files as a page that stands alone: one file, nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

from deploy.gate import picture, wording
from deploy.show import checks
from retrain.harness.pairing import PairedFiles
from retrain.harness.verdict import FileVerdict

TONES = {"promote": "good", "reject": "bad", "inconclusive": "open"}


def write(verdict: FileVerdict, found: PairedFiles, path: Path) -> None:
    """Write the page. Raise OSError where that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(verdict, found), encoding="utf-8")


def render(verdict: FileVerdict, found: PairedFiles) -> str:
    """Return the page."""
    import jinja2

    loader = jinja2.FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1] / "show"])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    champion, candidate = wording.files(verdict)
    target = next(check for check in verdict.checks if check.name == "target")
    return environment.get_template("gate.html.jinja").render(
        verdict=verdict,
        tone=TONES[verdict.status],
        headline=wording.headline(verdict),
        settled_by=wording.settled_by(verdict),
        champion=champion,
        candidate=candidate,
        scores=[wording.score(verdict, side.score) for side in (verdict.champion, verdict.candidate)],
        target=target,
        same=verdict.rows - verdict.better - verdict.worse,
        checks=[(check, checks.bar(check)) for check in verdict.checks],
        shown=checks,
        named=wording.named,
        svg=picture.draw(verdict, found),
        sure=f"{100 * (1 - verdict.alpha):g}",
    )
