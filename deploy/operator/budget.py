"""`homeostat monitor plan`: what the monitor would have to ask for, and what it could still find within an hour."""

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
    """`autocorrelation` of neighbouring events; `waves` of day and week that the reference shows."""

    autocorrelation: float = 0.0
    waves: int = 0


CALM = Dependence()


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts of the budget; `days`: between false pages, at least. `found`: what each finds within an hour."""

    days: float
    parts: list[BudgetPart]
    found: dict[str, str]


def asked(settings: MonitorSettings, traffic: AliasTraffic, days: float, dependence: Dependence = CALM) -> Plan:
    """What a budget of so many days takes."""
    return _plan(settings, traffic, budget.split(days, traffic), dependence)


def present(settings: MonitorSettings, traffic: AliasTraffic, dependence: Dependence = CALM) -> Plan:
    """What the settings come to at this traffic."""
    parts = [BudgetPart(kind, 0.0, traffic.steps(kind), arl) for kind, arl in _arls(settings).items()]
    days = budget.days_between(parts, traffic=traffic)
    shares = [
        BudgetPart(p.kind, days * p.steps * traffic.aliases / p.arl if p.steps else 0.0, p.steps, p.arl) for p in parts
    ]
    return _plan(settings, traffic, shares, dependence)


def table(plan: Plan) -> Table:
    """For people."""
    drawn = Table("detector", "share", "steps a day", "steps between false alarms", "found within an hour", box=None)
    drawn.header_style = "bold"
    for part in plan.parts:
        drawn.add_row(part.kind, f"{part.share:.0%}", f"{part.steps:,.0f}", f"{part.arl:,.0f}", plan.found[part.kind])
    return drawn


def told(days: float) -> str:
    """A time between false pages, for people.

    >>> told(30), told(0.05)
    ('30 days', '1.2 hours')
    """
    return f"{days:,.3g} days" if days >= 1 else f"{days * HOURS:.2g} hours"


def settings_for(plan: Plan) -> str:
    """The tables of homeostat.toml that the plan needs: whole steps, never fewer than asked. What takes no steps is
    left as it is."""
    arls = {part.kind: max(100, math.ceil(part.arl)) for part in plan.parts if part.steps}
    events = max((arls[kind] for kind in ("drift", "estimated_quality") if kind in arls), default=None)
    monitor = {"arl_events": events, "label_arl": arls.get("quality")}
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
        "drift": settings.arl_events,
        "safety": settings.safety.arl,
        "fairness": settings.fairness.arl,
    }


def _plan(settings: MonitorSettings, traffic: AliasTraffic, parts: list[BudgetPart], dependence: Dependence) -> Plan:
    days = budget.days_between(parts, traffic=traffic)
    return Plan(days, parts, {part.kind: _found(settings, traffic, part, dependence) for part in parts})


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
    found = "labels" if part.kind in budget.BY_LABELS else "estimates"
    if rate is None:
        return f"nothing: too few {found}"
    return f"error rate {rate:.0%} (limit {EXAMPLE_LIMIT:.0%})"


def _crossed(settings: MonitorSettings, arl: float, answers: float) -> str:
    """Of a flag that the reference never had."""
    limit = upper_bound(0, settings.reference_events, settings.safety.confidence) + settings.safety.tolerance
    rate = budget.smallest_rate(arl * len(flags.FLAGS), limit, answers, flags.EXCESSES)
    return (
        f"a flag in {rate:.1%} of the answers (limit {limit:.1%})" if rate is not None else "nothing: too few answers"
    )


def _gap(fairness: Fairness, arl: float, pairs: float) -> str:
    """Of a group's refusals or slow replies. A pair's difference d is judged as (d + 1) / 2."""
    rate = budget.smallest_rate(arl, (1.0 + fairness.tolerated) / 2.0, pairs, FAIR_EXCESSES)
    if rate is None:
        return f"nothing: too few pairs of a group of {EXAMPLE_GROUP:.0%}"
    return f"gap of {2.0 * rate - 1.0:.0%}, group of {EXAMPLE_GROUP:.0%} (tolerated {fairness.tolerated:.0%})"
