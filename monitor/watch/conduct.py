"""How replies of one version treat clients: errors and slow ones, answers that cross a line, groups served worse."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from monitor.detectors.episode import Ended, Over
from monitor.detectors.interface import Floats, Moment
from monitor.explain import alarm as alarms
from monitor.explain import examples as lately
from monitor.explain.examples import Seen
from monitor.findings import Finding, Kind
from monitor.rows import ScoreRows, turns_of
from monitor.settings import MonitorSettings, Slo
from monitor.signals import burn_rate, fairness, safety
from monitor.signals.burn_rate import Burn
from monitor.signals.fairness import Measure, Outcomes, Unfair
from monitor.watch.open_alarms import closed, opened
from monitor.watch.version import Watch, error_budget, latency_budget
from monitor.windows import failed

REFUSAL = "output_refusal"

Found = tuple[Watch, list[Finding]]


def burn(settings: MonitorSettings, watch: Watch, rows: ScoreRows) -> Found:
    """Budgets of errors and of slow replies, of all requests."""
    lost = [failed(status) for status in rows.statuses]
    answered = [i for i, status in enumerate(rows.statuses) if status == 200]
    late = [slow(settings.slo, rows.ttft_ms[i], rows.tpot_ms[i], rows.latency_ms[i]) for i in answered]
    errors, failing = burn_rate.update(error_budget(settings), watch.errors, lost, rows.times_ms)
    times = [rows.times_ms[i] for i in answered]
    latency, slowing = burn_rate.update(latency_budget(settings), watch.latency, late, times)
    watch = replace(watch, errors=errors, latency=latency)
    watch, failed_ = _burnt(watch, "errors", failing, list(zip(rows.ids, rows.times_ms, strict=True)))
    watch, slow_ = _burnt(watch, "latency", slowing, [(rows.ids[i], rows.times_ms[i]) for i in answered])
    return watch, [*failed_, *slow_]


def _burnt(watch: Watch, kind: Kind, turns: Sequence[Burn | Over], moments: Sequence[Moment]) -> Found:
    findings: list[Finding] = []
    for turn in turns:
        last = moments[turn.step]
        if isinstance(turn, Over):
            watch, found = closed(watch, kind, last, "quiet")
        else:
            watch, found = opened(watch, alarms.burn(kind, watch, turn, last))
        findings += found
    return watch, findings


def unsafe(
    settings: MonitorSettings, watch: Watch, rows: ScoreRows, values: Floats, fresh: Sequence[Seen], *, ends_turn: bool
) -> Found:
    """Flags of answered replies, given also as descriptors and as they are kept."""
    state, turns = safety.follow(
        settings.safety,
        watch.safety,
        values,
        [(event.id, event.time_ms) for event in fresh],
        settings.alarm_clear_events,
        clients=rows.clients,
        turns=turns_of(rows, 0),
        ends_turn=ends_turn,
    )
    watch, findings = replace(watch, safety=state), list[Finding]()
    for turn in turns:
        if isinstance(turn, Ended):
            watch, found = closed(watch, "safety", turn.last, "quiet", turn.about)
        else:
            watch, found = opened(watch, alarms.unsafe(watch, turn, _shown(watch, fresh, turn.last[0])))
        findings += found
    return watch, findings


def _shown(watch: Watch, fresh: Sequence[Seen], last: str) -> list[Seen]:
    """The last events up to this one, which may lie in an earlier part of the turn."""
    both = [*watch.lately, *fresh]
    end = next((k + 1 for k, event in enumerate(both) if event.id == last), len(both))
    return lately.kept([], both[:end])


def unfair(settings: MonitorSettings, watch: Watch, rows: ScoreRows) -> Found:
    """Refusals and slow replies of groups, where clients name groups."""
    if not any(rows.tags):
        return watch, []
    findings: list[Finding] = []
    measures: dict[Measure, list[float]] = {"refusals": _refusals(watch, rows), "slow": _slow(settings, rows)}
    for measure, losses in measures.items():
        seen = Outcomes(rows.ids, rows.times_ms, rows.tags, losses)
        watch, found = compared(settings, watch, measure, seen)
        findings += found
    return watch, findings


def compared(settings: MonitorSettings, watch: Watch, measure: Measure, seen: Outcomes) -> Found:
    """Groups by outcomes of one measure."""
    state, turns = fairness.follow(settings.fairness, watch.fairness, measure, seen, settings.alarm_clear_events)
    watch, findings = replace(watch, fairness=state), list[Finding]()
    for turn in turns:
        watch, found = _compared(watch, turn)
        findings += found
    return watch, findings


def _compared(watch: Watch, turn: Unfair | Ended) -> Found:
    if isinstance(turn, Ended):
        return closed(watch, "fairness", turn.last, "quiet", turn.about)
    return opened(watch, alarms.unfair(watch, turn))


def _refusals(watch: Watch, rows: ScoreRows) -> list[float]:
    column = watch.names.index(REFUSAL) if REFUSAL in watch.names else None
    return [float(row[column] > 0.0) if column is not None else math.nan for row in rows.descriptors]


def _slow(settings: MonitorSettings, rows: ScoreRows) -> list[float]:
    times = zip(rows.ttft_ms, rows.tpot_ms, rows.latency_ms, strict=True)
    return [float(slow(settings.slo, *each)) for each in times]


def slow(slo: Slo, ttft_ms: float, tpot_ms: float, latency_ms: float) -> bool:
    """Whether a reply broke a latency promise."""
    per_token = slo.tpot_ms is not None and tpot_ms > slo.tpot_ms
    return ttft_ms > slo.ttft_ms or latency_ms > slo.latency_ms or per_token
