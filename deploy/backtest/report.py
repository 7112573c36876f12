"""The comparison: each policy's outcome with its measures, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from deploy.backtest.harms import HarmPeriod
from deploy.backtest.measures import Measures, measure
from deploy.backtest.observed import Facts, Observed
from deploy.backtest.outcome import PolicyOutcome
from deploy.backtest.policies import PRESENT, Policy, changes
from deploy.backtest.recorded import Recorded
from deploy.backtest.replay import Replay
from deploy.show.times import duration
from monitor.metrics import spoken
from streams.lake.history import Extent

HAPPENED = "what happened"
FEW_LABELS = 30

BOUNDS = [
    "A retraining's effect cannot be replayed: all replies are those of the recorded versions. After a request that "
    "the ledger does not know, a policy waits until the recorded champion changes; costs end with the request.",
    "Labels are those that came. Those that another policy would have asked for are not there.",
    "The judge's clock is event time, since the lake has no other; partitions, replies and labels are merged by it. A "
    "live worker may have seen those that lie within one of its batches in another order. Pauses are not replayed.",
]


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One policy, or the recorded history (`recorded`). `changes`: its differences from the present settings."""

    name: str
    recorded: bool = False
    changes: list[str] = []
    outcome: PolicyOutcome
    measures: Measures


class Fidelity(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the recorded alarms the present settings raise again: same version, kind, last event, onset."""

    recorded: int
    again: int
    more: int  # raised in the replay only
    settings_changed: list[str]  # since the run; empty where they are the same or not known


class BacktestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `backtest.json` holds. `results`: the recorded history comes first, where a ledger was given."""

    alias: str
    lake: str
    ledger: str | None
    first_ms: int
    last_ms: int
    replies: int
    labels: int
    champions: list[tuple[int, str]]
    harms: list[HarmPeriod]
    metric: str = ""  # as people say it, where losses lie between 0 and 1; else answers are right or wrong
    retraining_minutes: float | None
    results: list[PolicyResult] = msgspec.field(name="told")
    fidelity: Fidelity | None
    notes: list[str]

    @property
    def lost(self) -> str:
        """Name what harm costs."""
        return f"loss by {self.metric}" if self.metric else "wrong answers"


class HistorySource(msgspec.Struct, frozen=True, kw_only=True):
    """The place that a history comes from."""

    alias: str
    lake: str
    ledger: str | None
    extent: Extent


def compare(
    source: HistorySource,
    replays: Sequence[Replay],
    observed: Observed,
    recorded: Recorded | None,
    minutes: float | None,
) -> tuple[BacktestReport, Facts]:
    """Return the report, and the facts that it was measured against. The first replay is of the present settings."""
    outcomes = [replay.outcome for replay in replays] + ([recorded.outcome] if recorded else [])
    asked = {id for outcome in outcomes for alarm in outcome.alarms for id in alarm.label_first}
    present, facts = replays[0].policy, observed.facts(asked)
    harms = facts.harms(present.sections.monitor.tolerance)
    minutes = minutes if minutes is not None or recorded is None else recorded.minutes
    results = [
        PolicyResult(
            name=replay.policy.name,
            changes=replay.policy.changes,
            outcome=replay.outcome,
            measures=measure(replay.outcome, facts, harms, minutes),
        )
        for replay in replays
    ]
    if recorded:
        happened = measure(recorded.outcome, facts, harms, minutes)
        results = [PolicyResult(name=HAPPENED, recorded=True, outcome=recorded.outcome, measures=happened), *results]
    report = BacktestReport(
        alias=source.alias,
        lake=source.lake,
        ledger=source.ledger,
        first_ms=source.extent.first_ms,
        last_ms=source.extent.last_ms,
        replies=source.extent.replies,
        labels=source.extent.labels,
        champions=facts.champions,
        harms=harms,
        metric=spoken(facts.metric) if facts.graded else "",
        retraining_minutes=minutes,
        results=results,
        fidelity=fidelity(present, replays[0].outcome, recorded) if recorded else None,
        notes=[*_shortages(source, replays[0]), *BOUNDS],
    )
    return report, facts


def fidelity(present: Policy, outcome: PolicyOutcome, recorded: Recorded) -> Fidelity:
    """Compare the replay of the present settings with the record."""
    was, now = ({alarm.key for alarm in each.alarms} for each in (recorded.outcome, outcome))
    changed = changes(recorded.settings, present.sections) if recorded.settings else []
    return Fidelity(recorded=len(was), again=len(was & now), more=len(now - was), settings_changed=changed)


def verdict(report: BacktestReport) -> str:
    """Return the comparison in a sentence."""
    policies = [result for result in report.results if not result.recorded]
    if not report.labels:
        return "Nothing here is labelled: the report shows when which policy would have acted, not what that was worth."
    if not report.harms:
        pages = ", ".join(f"{result.name}: {result.measures.false_pages}" for result in policies)
        return f"The labels show no harm. False pages: {pages}."
    if any(result.measures.loss is None for result in policies):
        return "; ".join(f"{result.name}: {reaction(result.measures, report.lost)}" for result in policies) + "."
    served = [f"{result.measures.loss:,.0f} with {_named(result)}" for result in policies]
    never = [_named(result) for result in policies if not result.measures.asked]
    ending = f" Never asked: {', '.join(never)}." if never else ""
    lost = report.lost[0].upper() + report.lost[1:]
    return f"{lost} served until a retraining was asked for: {', '.join(served)}.{ending}"


def reaction(measures: Measures, lost: str) -> str:
    """Describe in a few words how a policy dealt with the harm, and what it cost."""
    served = f", {measures.loss:,.0f} {lost} served" if measures.loss is not None else ""
    if not measures.asked:
        return f"no retraining asked for{served}"
    if len(measures.costs) == 1:
        return f"retraining asked for {duration(measures.costs[0].asked_after_s)} after the onset{served} until then"
    return f"retraining asked for in {measures.asked} of {len(measures.costs)} harms{served} until then"


def _named(result: PolicyResult) -> str:
    return f"the {result.name}" if result.name == PRESENT else result.name


def _shortages(source: HistorySource, present: Replay) -> list[str]:
    extent, monitor = source.extent, present.policy.sections.monitor
    found = []
    if extent.replies < monitor.reference_events:
        found.append(
            f"Only {extent.replies} replies: the present settings take {monitor.reference_events} for a version's "
            "reference (monitor.reference_events), so nothing is tested. Give a longer history or a smaller reference."
        )
    if not extent.labels:
        found.append(
            "No feedback says how good an answer was: harm can be neither proven nor measured. Clients give it with "
            "POST /v1/feedback, reviewers with `homeostat labels give`."
        )
    elif extent.labels < FEW_LABELS:
        found.append(f"Only {extent.labels} labels: whether there was harm is hardly known.")
    return found
