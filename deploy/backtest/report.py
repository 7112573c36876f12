"""The comparison: each policy's outcome with its measures, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from deploy.backtest.harms import Harm
from deploy.backtest.measures import Measures, measure
from deploy.backtest.observed import Facts, Witness
from deploy.backtest.outcome import Outcome
from deploy.backtest.policies import PRESENT, Candidate, changes
from deploy.backtest.recorded import Recorded
from deploy.backtest.replay import Replay
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


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One policy, or what happened (`recorded`). `changes`: what differs from the present settings."""

    name: str
    recorded: bool = False
    changes: list[str] = []
    outcome: Outcome
    measures: Measures


class Fidelity(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the recorded alarms the present settings raise again: same version, kind, last event, onset."""

    recorded: int
    again: int
    more: int  # raised in the replay only
    settings_changed: list[str]  # since the run; empty where they are the same or not known


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `backtest.json` holds. `told`: what happened first, where a ledger was given."""

    alias: str
    lake: str
    ledger: str | None
    first_ms: int
    last_ms: int
    replies: int
    labels: int
    champions: list[tuple[int, str]]
    harms: list[Harm]
    retraining_minutes: float | None
    told: list[Told]
    fidelity: Fidelity | None
    notes: list[str]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a history comes from."""

    alias: str
    lake: str
    ledger: str | None
    extent: Extent


def compare(
    source: Source, replays: Sequence[Replay], witness: Witness, recorded: Recorded | None, minutes: float | None
) -> tuple[Report, Facts]:
    """The report, and the facts that it was measured against. The first replay is that of the present settings."""
    outcomes = [replay.outcome for replay in replays] + ([recorded.outcome] if recorded else [])
    asked = {id for outcome in outcomes for alarm in outcome.alarms for id in alarm.label_first}
    present, facts = replays[0].candidate, witness.facts(asked)
    harms = facts.harms(present.sections.monitor.tolerance)
    minutes = minutes if minutes is not None or recorded is None else recorded.minutes
    told = [
        Told(
            name=replay.candidate.name,
            changes=replay.candidate.changes,
            outcome=replay.outcome,
            measures=measure(replay.outcome, facts, harms, minutes),
        )
        for replay in replays
    ]
    if recorded:
        happened = measure(recorded.outcome, facts, harms, minutes)
        told = [Told(name=HAPPENED, recorded=True, outcome=recorded.outcome, measures=happened), *told]
    report = Report(
        alias=source.alias,
        lake=source.lake,
        ledger=source.ledger,
        first_ms=source.extent.first_ms,
        last_ms=source.extent.last_ms,
        replies=source.extent.replies,
        labels=source.extent.labels,
        champions=facts.champions,
        harms=harms,
        retraining_minutes=minutes,
        told=told,
        fidelity=fidelity(present, replays[0].outcome, recorded) if recorded else None,
        notes=[*_shortages(source, replays[0]), *BOUNDS],
    )
    return report, facts


def fidelity(present: Candidate, outcome: Outcome, recorded: Recorded) -> Fidelity:
    """The replay of the present settings beside what was recorded."""
    was, now = ({alarm.key for alarm in each.alarms} for each in (recorded.outcome, outcome))
    changed = changes(recorded.settings, present.sections) if recorded.settings else []
    return Fidelity(recorded=len(was), again=len(was & now), more=len(now - was), settings_changed=changed)


def verdict(report: Report) -> str:
    """The comparison in a sentence."""
    policies = [told for told in report.told if not told.recorded]
    if not report.labels:
        return "Nothing here is labelled: when which policy would have acted is shown, what it was worth is not known."
    if not report.harms:
        pages = ", ".join(f"{told.name}: {told.measures.false_pages}" for told in policies)
        return f"The labels show no harm. False pages: {pages}."
    if any(told.measures.wrong is None for told in policies):
        return "; ".join(f"{told.name}: {asked(told.measures)}" for told in policies) + "."
    served = [f"{told.measures.wrong:,.0f} with {_named(told)}" for told in policies]
    never = [_named(told) for told in policies if not told.measures.asked]
    ending = f" Never asked: {', '.join(never)}." if never else ""
    return f"Wrong answers served until a retraining was asked for: {', '.join(served)}.{ending}"


def asked(measures: Measures) -> str:
    """How a policy dealt with the harm, in a few words."""
    wrong = f", {measures.wrong:,.0f} wrong answers served" if measures.wrong is not None else ""
    if not measures.asked:
        return f"no retraining asked for{wrong}"
    if len(measures.costs) == 1:
        return f"retraining asked for {span(measures.costs[0].asked_after_s)} after the onset{wrong} until then"
    return f"retraining asked for in {measures.asked} of {len(measures.costs)} harms{wrong} until then"


def _named(told: Told) -> str:
    return f"the {told.name}" if told.name == PRESENT else told.name


def span(seconds: float | None) -> str:
    """A duration for people.

    >>> span(42.4), span(200), span(6_325), span(200_000), span(None)
    ('42 s', '3 min 20 s', '1 h 45 min', '2.3 days', 'never')
    """
    if seconds is None:
        return "never"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min" if whole < 172_800 else f"{seconds / 86_400:.1f} days"


def _shortages(source: Source, present: Replay) -> list[str]:
    extent, monitor = source.extent, present.candidate.sections.monitor
    found = []
    if extent.replies < monitor.reference_events:
        found.append(
            f"Only {extent.replies} replies: the present settings take {monitor.reference_events} for a version's "
            "reference (monitor.reference_events), so nothing is tested. Give a longer history or a smaller reference."
        )
    if not extent.labels:
        found.append(
            "No feedback says right or wrong: harm can be neither proven nor measured. Clients give it with "
            "POST /v1/feedback, reviewers with `homeostat labels give`."
        )
    elif extent.labels < FEW_LABELS:
        found.append(f"Only {extent.labels} labels: whether there was harm is hardly known.")
    return found
