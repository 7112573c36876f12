"""The comparison for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from deploy.backtest.harms import HarmPeriod
from deploy.backtest.measures import Measures
from deploy.backtest.outcome import PolicyOutcome
from deploy.backtest.report import BacktestReport, PolicyResult
from deploy.show.times import clock, duration

ACTIONS = 12  # lines for each policy; the page has all
UNKNOWN = "not known"


def measures(report: BacktestReport) -> Table:
    """Draw the policies side by side."""
    drawn = Table("", *(result.name for result in report.results), box=None, header_style="bold", pad_edge=False)
    for name, show in rows(report):
        drawn.add_row(name, *(show(result.measures) for result in report.results))
    return drawn


def rows(report: BacktestReport) -> list[tuple[str, Callable[[Measures], str]]]:
    """Return each measure's name, and how it is shown."""
    harms = len(report.harms)
    found: list[tuple[str, Callable[[Measures], str]]] = [("alarms", alarms)]
    if harms == 1:
        found += [
            ("harm found after", _found),
            ("retraining asked for after", lambda m: duration(m.costs[0].asked_after_s)),
        ]
    elif harms:
        found += [
            ("harms found", lambda m: f"{m.found} of {harms}"),
            ("retraining asked for", lambda m: f"{m.asked} of {harms}"),
        ]
    if harms:
        found += [
            (f"{report.lost} until then", lambda m: _number(m.loss)),
            ("labels until then", lambda m: _number(m.labels_used)),
        ]
    return [
        *found,
        ("false pages", lambda m: _number(m.false_pages)),
        ("retrainings", lambda m: _number(m.retrainings)),
        ("of them needless", lambda m: _number(m.needless)),
        ("minutes of retraining", lambda m: _number(m.retraining_minutes)),
        ("labels asked for", lambda m: f"{m.labels_asked:,}"),
    ]


def actions(result: PolicyResult, most: int | None = ACTIONS) -> list[str]:
    """List the actions of one policy, in order."""
    lines = [line for _, line in events(result.outcome)]
    more = [] if most is None or len(lines) <= most else [f"... and {len(lines) - most} more in the page"]
    return [*lines[:most], *more]


def events(outcome: PolicyOutcome) -> list[tuple[int, str]]:
    """Return alarms and decisions in words, each with its time, in the order of time."""
    found = [
        (alarm.raised_ms, 0, f"alarm ({alarm.kind.replace('_', ' ')}): {alarm.summary}") for alarm in outcome.alarms
    ]
    found += [(each.cleared_ms, 0, each.summary) for each in outcome.cleared]
    found += [(each.time_ms, 1, f"asks for {each.wanted} labels: {each.reason}") for each in outcome.labels_wanted]
    found += [(each.time_ms, 2, f"asks for a retraining: {each.reason}") for each in outcome.retrainings]
    return [(time_ms, f"{clock(time_ms)}  {words}") for time_ms, _, words in sorted(found)]


def header(report: BacktestReport) -> list[str]:
    """Describe the history that was replayed, and the harm that its labels show."""
    lines = [
        f"{report.alias}: {report.replies:,} replies and {report.labels:,} labels, "
        f"{clock(report.first_ms)} to {clock(report.last_ms)}"
    ]
    lines += [
        f"harm: {harm.version} from {clock(harm.onset_ms)} to {clock(harm.end_ms)}, {_compared(harm, report.metric)} "
        f"otherwise ({harm.labels} labels)"
        for harm in report.harms
    ]
    return lines + ([_faithful(report)] if report.fidelity else [])


def _compared(harm: HarmPeriod, metric: str) -> str:
    if metric:
        return f"{metric} {1.0 - harm.loss:.2f}, {1.0 - harm.usual_loss:.2f}"
    return f"{harm.loss:.0%} wrong, {harm.usual_loss:.0%}"


def alarms(measured: Measures) -> str:
    """Return the alarms by kind.

    >>> from types import SimpleNamespace
    >>> alarms(SimpleNamespace(alarms={"drift": 2, "quality": 1}))
    'drift 2, quality 1'
    """
    found: Sequence[str] = [f"{kind.replace('_', ' ')} {count}" for kind, count in measured.alarms.items()]
    return ", ".join(found) or "none"


def _found(measured: Measures) -> str:
    cost = measured.costs[0]
    if cost.found_after_s is None:
        return "never"
    return f"{duration(cost.found_after_s)} ({cost.found_after_replies:,} replies)"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def _faithful(report: BacktestReport) -> str:
    assert report.fidelity is not None
    found = report.fidelity
    words = f"the replay of the present settings raises {found.again} of the {found.recorded} recorded alarms again"
    words += f", and {found.more} more" if found.more else ""
    changed = f"; set otherwise since: {', '.join(found.settings_changed)}" if found.settings_changed else ""
    return words + changed
