"""The report as a page that stands alone: one file, no address of anybody else's is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from deploy.demo.record import Run, champions, marks, verdicts
from deploy.demo.report import LEAST_ROWS, Report, succeeded, summarise
from deploy.demo.timeline import Level, Picture, clock, draw
from streams.codec import encode
from streams.kinds import AlarmKind, DecisionKind

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
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
TOLD = 60  # entries of the story; the ledger has them all


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the story."""

    time_ms: int
    when: str
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the gate, as a table shows it. All numbers are shares."""

    name: str
    passed: bool | None
    value: float | None
    low: float | None
    high: float | None
    needed: float | None
    rows: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate before the gate."""

    candidate: str
    verdict: str
    reason: str
    checks: list[Check]


def write(run: Run, folder: Path) -> Report:
    """Writes `report.json` for programs, `report.html` and `timeline.svg` for people, and `ledger.jsonl` for
    `homeostat replay` into `folder`, which is made where it is missing; OSError where that fails."""
    report = summarise(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(encode(entry) + b"\n" for entry in run.ledger))
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    svg = picture(run, report)
    (folder / "timeline.svg").write_text(svg, encoding="utf-8")
    (folder / "report.html").write_text(render(run, report, svg, folder), encoding="utf-8")
    return report


def picture(run: Run, report: Report) -> str:
    """The timeline of this run."""
    at = marks(run)
    shown = sorted(((words, at[name]) for name, words in MARKED.items() if name in at), key=lambda mark: mark[1])
    training = (at.get("training", at.get("requested")), at.get("trained", at.get("verdict")))
    start = min((o.sent_ms for o in run.outcomes), default=at.get("ready", 0))
    return draw(
        Picture(
            outcomes=run.outcomes,
            windows=run.windows,
            champions=[(max(since, start), version) for since, version in champions(run)],
            marks=[mark for mark in shown if mark[1] >= start],
            training=(training[0], training[1]) if training[0] and training[1] else None,
            origin_ms=at.get("onset", start),
            origin="the world changed" if "onset" in at else "the start",
            levels=_levels(report, at, start),
        )
    )


def render(run: Run, report: Report, svg: str, folder: Path) -> str:
    """The page. `folder` is where it will lie: links to files are made relative to it."""
    import jinja2

    loader = jinja2.FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1] / "show"])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "seconds": _seconds, "signed": _signed, "bar": _bar}
    return environment.get_template("report.html.jinja").render(
        report=report,
        succeeded=succeeded(report, report.expected),
        uncertain=[name for name in ("before", "drifted", "after") if 0 < getattr(report.rows, name) < LEAST_ROWS],
        svg=svg,
        caption=caption(report),
        story=story(run),
        trials=trials(run),
        links=links(run, folder),
        feedback_share=run.feedback_share,
    )


def caption(report: Report) -> str:
    """The picture in words, for those who do not see it."""
    found = [f"Timeline of {report.requests.sent} requests."]
    for name, words in (("before", "before the change"), ("drifted", "after it"), ("after", "after the promotion")):
        share = getattr(report.accuracy, name)
        found += [f"{_percent(share)} of the answers were right {words}."] if share is not None else []
    found += ["Alarms: " + ", ".join(str(alarm["kind"]) for alarm in report.alarms) + "."] if report.alarms else []
    return " ".join(found)


def story(run: Run) -> list[Step]:
    """What happened, in order: the ledger's decisions, and what the demo itself did or saw."""
    at = marks(run)
    origin = at.get("onset", at.get("ready", 0))
    told: dict[str, Callable[[], str]] = {
        "ready": lambda: f"The first version ({run.champion_rows} training rows) is served; clients begin to ask.",
        "onset": lambda: "The clients' world changes: from here on they send the messages of after.jsonl.",
        "trained": lambda: "A candidate is trained.",
        "finished": lambda: "The demo ends.",
    }
    steps = [(at[name], "Demo", words()) for name, words in told.items() if name in at]
    steps += [(entry.time_ms, WHO[entry.kind], entry.summary or entry.function) for entry in run.ledger][:TOLD]
    return [Step(when, clock(when - origin), who, what) for when, who, what in sorted(steps, key=lambda s: s[0])]


def trials(run: Run) -> list[Trial]:
    """What the gate looked at, candidate by candidate."""
    return [
        Trial(result.candidate or "no candidate", result.status.value, result.reason, [check(c) for c in result.checks])
        for result in verdicts(run)
    ]


def check(found: dict[str, Any]) -> Check:
    """A check from the gate's own record."""
    low, high = found.get("interval") or (found.get("low"), found.get("high"))
    return Check(
        name=str(found.get("name", "check")).replace("_", " "),
        passed=_passed(found),
        value=_first(found, "estimate", "value", "gain", "difference", "mean", "number"),
        low=low,
        high=high,
        needed=_first(found, "needed", "required", "margin", "min_gain", "threshold", "limit"),
        rows=_first(found, "rows", "sample", "n", "count", "pairs"),
        note=str(found.get("reason") or found.get("note") or found.get("summary") or ""),
    )


def links(run: Run, folder: Path) -> list[tuple[str, str]]:
    """Words and addresses: files that exist are named relative to the page, missing ones are left out."""
    reports = [(f"Evidence of the {_kind(alarm.kind)} alarm (Evidently)", alarm.report) for alarm in run.alarms]
    wanted = [("Ledger", str(folder / "ledger.jsonl")), ("report.json", str(folder / "report.json"))]
    wanted += [(words, path) for words, path in reports if path] + list(run.links.items())
    return [(words, target) for words, path in wanted if (target := _target(path, folder))]


def _levels(report: Report, at: dict[str, int], start: int) -> list[Level]:
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


def _kind(kind: AlarmKind) -> str:
    return kind.value.replace("_", " ")


def _passed(found: dict[str, Any]) -> bool | None:
    said = _first(found, "passed", "verdict", "status", "outcome")
    if said is None or isinstance(said, bool):
        return said
    return {"promote": True, "pass": True, "passed": True, "reject": False, "fail": False, "failed": False}.get(said)


def _first(found: dict[str, Any], *names: str) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.0f} %"


def _signed(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.1f}".replace("-", MINUS)


def _seconds(duration: float | None) -> str:
    if duration is None:
        return DASH
    if duration < 10:
        return f"{duration:.1f} s"
    return f"{duration:.0f} s" if duration < 120 else f"{int(duration // 60)} min {round(duration % 60)} s"


def _bar(check: Check) -> dict[str, float] | None:
    """The check's interval as percent of a bar's width: no difference is its middle, the check itself its scale."""
    if check.low is None or check.high is None:
        return None
    places = {"low": check.low, "high": check.high, "value": check.value, "needed": check.needed}
    known = {name: place for name, place in places.items() if place is not None}
    scale = 1.15 * max(abs(place) for place in known.values()) or 1.0
    return {name: round(50 + 50 * place / scale, 2) for name, place in known.items()}
