"""`homeostat monitor plan`: a budget of false alarms, shared out, and the harm that is still found within an hour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

from monitor import budget
from monitor.budget import AliasTraffic, BudgetPart, EventStream
from monitor.describe.descriptors import NAMES
from monitor.detectors.risk import upper_bound
from monitor.settings import Fairness, MonitorSettings
from monitor.signals import flags
from monitor.signals.comparison import EXCESSES as FAIR_EXCESSES
from monitor.signals.drift_detector import DESCRIPTORS, SHARES

HOURS = 24.0
EXAMPLE_LIMIT = 0.1  # error rate that a healthy alias is taken to have as its limit
EXAMPLE_GROUP = 0.1  # share of the events


@dataclass(frozen=True, slots=True)
class Dependence:
    """The dependence of events: `autocorrelation` of neighbours; `waves` of day and week that the reference shows."""

    autocorrelation: float = 0.0
    waves: int = 0


CALM = Dependence()


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """The parts of a budget; `days`: between false pages, at least. `found`: what each part finds in an hour."""

    days: float
    parts: list[BudgetPart]
    found: dict[str, str]


def plan(settings: MonitorSettings, traffic: AliasTraffic, days: float, dependence: Dependence = CALM) -> BudgetPlan:
    """Return the settings that a budget of so many days needs."""
    return _planned(settings, traffic, budget.split(days, traffic), dependence)


def present(settings: MonitorSettings, traffic: AliasTraffic, dependence: Dependence = CALM) -> BudgetPlan:
    """Return the budget that the settings amount to at this traffic."""
    parts = [BudgetPart(kind, 0.0, traffic.steps(kind), arl) for kind, arl in _arls(settings).items()]
    days = budget.days_between(parts, traffic=traffic)
    shares = [
        BudgetPart(p.kind, days * p.steps * traffic.aliases / p.arl if p.steps else 0.0, p.steps, p.arl) for p in parts
    ]
    return _planned(settings, traffic, shares, dependence)


def table(plan: BudgetPlan) -> Table:
    """Draw the plan as a table."""
    drawn = Table("detector", "share", "steps a day", "steps between false alarms", "found within an hour", box=None)
    drawn.header_style = "bold"
    for part in plan.parts:
        drawn.add_row(part.kind, f"{part.share:.0%}", f"{part.steps:,.0f}", f"{part.arl:,.0f}", plan.found[part.kind])
    return drawn


def settings_for(plan: BudgetPlan) -> str:
    """Return the tables of homeostat.toml for the plan: whole steps, rounded up. A part without steps is left out."""
    arls = {part.kind: max(100, math.ceil(part.arl)) for part in plan.parts if part.steps}
    events = max((arls[kind] for kind in ("drift", "estimated_quality") if kind in arls), default=None)
    monitor = {"arl_events": events, "label_arl": arls.get("quality"), "judged_arl": arls.get("judged_quality")}
    tables: dict[str, dict[str, int | None]] = {"monitor": monitor}
    tables |= {f"monitor.{kind}": {"arl": arls.get(kind)} for kind in ("safety", "fairness")}
    return "\n\n".join(filter(None, (_toml(name, keys) for name, keys in tables.items())))


def _toml(name: str, keys: Mapping[str, int | None]) -> str:
    lines = [f"{key} = {value}" for key, value in keys.items() if value is not None]
    return "\n".join([f"[{name}]", *lines]) if lines else ""


def _arls(settings: MonitorSettings) -> dict[str, float]:
    return {
        "quality": settings.label_arl,
        "estimated_quality": settings.arl_events,
        "judged_quality": settings.judged_arl,
        "drift": settings.arl_events,
        "safety": settings.safety.arl,
        "fairness": settings.fairness.arl,
    }


def _planned(
    settings: MonitorSettings, traffic: AliasTraffic, parts: list[BudgetPart], dependence: Dependence
) -> BudgetPlan:
    days = budget.days_between(parts, traffic=traffic)
    return BudgetPlan(days, parts, {part.kind: _found(settings, traffic, part, dependence) for part in parts})


def _found(settings: MonitorSettings, traffic: AliasTraffic, part: BudgetPart, dependence: Dependence) -> str:
    if not part.steps:
        return "nothing: no steps"
    steps = part.steps / HOURS
    if part.kind == "drift":
        stream = EventStream(
            descriptors=len(NAMES),
            reference=settings.reference_events,
            autocorrelation=dependence.autocorrelation,
            waves=dependence.waves,
            share=SHARES[DESCRIPTORS],
        )
        shift = budget.smallest_drift(part.arl, steps, stream)
        found = f"shift of {shift:.2f} sigma" if shift is not None else "nothing"
        return found + ("; nothing of categories and texts that follow the rhythm" if dependence.waves else "")
    if part.kind == "fairness":
        return _gap(settings.fairness, part.arl, traffic.events / HOURS * EXAMPLE_GROUP)
    if part.kind == "safety":
        return _crossed(settings, part.arl, steps)
    rate = budget.smallest_rate(part.arl, EXAMPLE_LIMIT, steps)
    found = {"quality": "labels", "judged_quality": "scores"}.get(part.kind, "estimates")
    if rate is None:
        return f"nothing: too few {found}"
    return f"error rate {rate:.0%} (limit {EXAMPLE_LIMIT:.0%})"


def _crossed(settings: MonitorSettings, arl: float, answers: float) -> str:
    """Describe the smallest rate of a flag that the reference never had."""
    limit = upper_bound(0, settings.reference_events, settings.safety.confidence) + settings.safety.tolerance
    rate = budget.smallest_rate(arl * len(flags.FLAGS), limit, answers, flags.EXCESSES)
    return (
        f"a flag in {rate:.1%} of the answers (limit {limit:.1%})" if rate is not None else "nothing: too few answers"
    )


def _gap(fairness: Fairness, arl: float, pairs: float) -> str:
    """Describe the smallest gap of a group's refusals or slow replies. A difference d is judged as (d + 1) / 2."""
    rate = budget.smallest_rate(arl, (1.0 + fairness.tolerated) / 2.0, pairs, FAIR_EXCESSES)
    if rate is None:
        return f"nothing: too few pairs of a group of {EXAMPLE_GROUP:.0%}"
    return f"gap of {2.0 * rate - 1.0:.0%}, group of {EXAMPLE_GROUP:.0%} (tolerated {fairness.tolerated:.0%})"
