"""`homeostat monitor plan`: what the monitor would have to ask for, and what it could still find within an hour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.table import Table

from monitor import budget
from monitor.budget import Part, Stream, Traffic
from monitor.descriptors import NAMES
from monitor.drift import DESCRIPTORS, SHARES
from monitor.settings import MonitorSettings

HOURS = 24.0
EXAMPLE_LIMIT = 0.1  # error rate that a healthy alias is taken to have as its limit


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts of the budget; `days`: between false pages, at least. `found`: what each finds within an hour."""

    days: float
    parts: list[Part]
    found: dict[str, str]


def asked(settings: MonitorSettings, traffic: Traffic, days: float, autocorrelation: float = 0.0) -> Plan:
    """What a budget of so many days takes."""
    return _plan(settings, traffic, budget.split(days, traffic), autocorrelation)


def present(settings: MonitorSettings, traffic: Traffic, autocorrelation: float = 0.0) -> Plan:
    """What the settings come to at this traffic."""
    arls = {"quality": settings.label_arl, "estimated_quality": settings.arl_events, "drift": settings.arl_events}
    parts = [Part(kind, 0.0, traffic.steps(kind), arl) for kind, arl in arls.items()]
    days = budget.days_between(parts, traffic=traffic)
    shares = [Part(p.kind, days * p.steps * traffic.aliases / p.arl if p.steps else 0.0, p.steps, p.arl) for p in parts]
    return _plan(settings, traffic, shares, autocorrelation)


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


def settings_for(plan: Plan) -> dict[str, int]:
    """The keys of [monitor] that the plan needs: whole steps, never fewer than asked."""
    arls = {part.kind: math.ceil(part.arl) for part in plan.parts}
    return {"arl_events": max(100, arls["drift"], arls["estimated_quality"]), "label_arl": max(100, arls["quality"])}


def _plan(settings: MonitorSettings, traffic: Traffic, parts: list[Part], autocorrelation: float) -> Plan:
    days = budget.days_between(parts, traffic=traffic)
    return Plan(days, parts, {part.kind: _found(settings, part, autocorrelation) for part in parts})


def _found(settings: MonitorSettings, part: Part, autocorrelation: float) -> str:
    if not part.steps:
        return "nothing: no steps"
    steps = part.steps / HOURS
    if part.kind == "drift":
        stream = Stream(
            descriptors=len(NAMES),
            reference=settings.reference_events,
            autocorrelation=autocorrelation,
            share=SHARES[DESCRIPTORS],
        )
        shift = budget.smallest_drift(part.arl, steps, stream)
        return f"shift of {shift:.2f} sigma" if shift is not None else "nothing"
    rate = budget.smallest_rate(part.arl, EXAMPLE_LIMIT, steps)
    found = "labels" if part.kind in budget.BY_LABELS else "estimates"
    if rate is None:
        return f"nothing: too few {found}"
    return f"error rate {rate:.0%} (limit {EXAMPLE_LIMIT:.0%})"
