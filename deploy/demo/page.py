"""The report as a page that stands alone: one file, nothing is loaded from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from deploy.demo.record import DemoRecord, champions, marks, verdicts
from deploy.demo.report import LEAST_ROWS, DemoReport, succeeded
from deploy.demo.summary import summarise
from deploy.demo.timeline import Level, Picture, draw
from deploy.demo.wording import percent, were
from deploy.show import checks
from deploy.show.times import duration, offset
from retrain.evaluation.checks import Check
from streams.codec import encode
from streams.kinds import DecisionKind

MARKED = {
    "onset": "world changes",
    "alarm": "alarm",
    "requested": "retraining",
    "verdict": "verdict",
    "canary": "canary",
    "promoted": "promoted",
}
WHO = {
    DecisionKind.ALARM: "Alarm",
    DecisionKind.POLICY: "Policy",
    DecisionKind.VERDICT: "Gate",
    DecisionKind.ROLLOUT: "Rollout",
    DecisionKind.OPERATOR: "Operator",
}
DASH = "\N{EN DASH}"
DECISIONS = 60  # that the page lists; the ledger has them all


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of the page's history."""

    time_ms: int
    when: str
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate before the gate, with the gate's own checks."""

    candidate: str
    verdict: str
    reason: str
    checks: list[Check]


def write(run: DemoRecord, folder: Path) -> DemoReport:
    """Write `report.json` for programs, `report.html` and `timeline.svg` for people, and `ledger.jsonl` for
    `homeostat replay` into `folder`, made where it is missing. Raise OSError where that fails."""
    report = summarise(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(encode(entry) + b"\n" for entry in run.ledger))
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    svg = picture(run, report)
    (folder / "timeline.svg").write_text(svg, encoding="utf-8")
    (folder / "report.html").write_text(render(run, report, svg, folder), encoding="utf-8")
    return report


def picture(run: DemoRecord, report: DemoReport) -> str:
    """Draw the timeline of this run."""
    at = marks(run)
    shown = sorted(((words, at[name]) for name, words in MARKED.items() if name in at), key=lambda mark: mark[1])
    training = (at["requested"], at["verdict"]) if "requested" in at and "verdict" in at else None
    start = min((o.sent_ms for o in run.outcomes), default=at.get("ready", 0))
    return draw(
        Picture(
            outcomes=run.outcomes,
            windows=run.windows,
            champions=[(max(since, start), version) for since, version in champions(run)],
            marks=[mark for mark in shown if mark[1] >= start],
            training=training,
            origin_ms=at.get("onset", start),
            origin="the world changed" if "onset" in at else "the start",
            levels=_levels(report, at, start),
            metric=run.metric,
        )
    )


def render(run: DemoRecord, report: DemoReport, svg: str, folder: Path) -> str:
    """Return the page. `folder` is where it will lie: links to files are made relative to it."""
    import jinja2

    loader = jinja2.FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1] / "show"])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "percent": _percent,
        "duration": partial(duration, none=DASH),
    }
    return environment.get_template("report.html.jinja").render(
        report=report,
        succeeded=succeeded(report, report.expected),
        uncertain=[name for name in ("before", "drifted", "after") if 0 < getattr(report.rows, name) < LEAST_ROWS],
        svg=svg,
        caption=caption(report),
        history=history(run),
        trials=trials(run),
        links=links(run, folder),
        feedback_share=run.feedback_share,
        shown=checks,
    )


def caption(report: DemoReport) -> str:
    """Describe the picture in words, for readers who do not see it."""
    found = [f"Timeline of {report.requests.sent} requests."]
    for name, words in (("before", "before the change"), ("drifted", "after it"), ("after", "after the promotion")):
        share = getattr(report.accuracy, name)
        found += [f"{were(report.metric, share)} {words}."] if share is not None else []
    found += ["Alarms: " + ", ".join(str(alarm["kind"]) for alarm in report.alarms) + "."] if report.alarms else []
    return " ".join(found)


def history(run: DemoRecord) -> list[HistoryLine]:
    """List the events in order: the ledger's decisions, and what the demo itself did or saw."""
    at = marks(run)
    origin = at.get("onset", at.get("ready", 0))
    own: dict[str, Callable[[], str]] = {
        "ready": lambda: f"The first version ({run.champion_rows} training rows) is served; clients begin to ask.",
        "onset": lambda: "The clients' world changes: from here on they send the messages of after.jsonl.",
        "finished": lambda: "The demo ends.",
    }
    lines = [(at[name], "Demo", words()) for name, words in own.items() if name in at]
    lines += [(entry.time_ms, WHO[entry.kind], entry.summary or entry.function) for entry in run.ledger][:DECISIONS]
    return [
        HistoryLine(when, offset(when - origin), who, what)
        for when, who, what in sorted(lines, key=lambda line: line[0])
    ]


def trials(run: DemoRecord) -> list[Trial]:
    """List the gate's checks, candidate by candidate. Raise msgspec.ValidationError for a check that no gate wrote."""
    return [
        Trial(
            result.candidate or "no candidate",
            result.status.value,
            result.reason,
            msgspec.convert(result.checks, list[Check]),
        )
        for result in verdicts(run)
    ]


def links(run: DemoRecord, folder: Path) -> list[tuple[str, str]]:
    """Return words and addresses: files that exist are named relative to the page, missing ones are left out."""
    reports = [
        (f"Evidence of the {alarm.kind.value.replace('_', ' ')} alarm (Evidently)", alarm.report)
        for alarm in run.alarms
    ]
    wanted = [("Ledger", str(folder / "ledger.jsonl")), ("report.json", str(folder / "report.json"))]
    wanted += [(words, path) for words, path in reports if path] + list(run.links.items())
    return [(words, target) for words, path in wanted if (target := _target(path, folder))]


def _levels(report: DemoReport, at: dict[str, int], start: int) -> list[Level]:
    end, onset = at.get("finished", start), at.get("onset", at.get("finished", start))
    changed = at.get("promoted", end) if report.accuracy.after is not None else end
    fell = report.outcome != "nothing"
    spans = (
        ("before", start, onset, "ink"),
        ("drifted", onset, changed, "harm" if fell else "ink"),
        ("after", changed, end, "good"),
    )
    return [
        Level(left, right, share, colour)
        for name, left, right, colour in spans
        if (share := getattr(report.accuracy, name)) is not None and right > left
    ]


def _target(path: str, folder: Path) -> str | None:
    if "://" in path:
        return path
    return os.path.relpath(path, folder) if Path(path).exists() else None


def _percent(share: float | None) -> str:
    return percent(share, none=DASH)
