"""What every alarm says: its evidence with the slice and the examples that explain it, and one sentence for people."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import msgspec

from monitor.describe.fingerprint import event_print
from monitor.detectors.interface import Moment
from monitor.explain.examples import Explanation, RecentEvent, informative
from monitor.findings import SEVERITIES, Alarm, Json, Kind

LEAST_EVIDENCE = -6.0


def alarm(
    kind: Kind,
    version: str,
    since: Moment,
    last: Moment,
    evidence: dict[str, Json],
    summary: str,
    *,
    about: str = "",
    harm: float = 0.0,
) -> Alarm:
    """Return the alarm of a kind that began at `since` and was proven by the event `last`."""
    return Alarm(
        about=about,
        harm=round(harm, 4),
        kind=kind,
        severity=SEVERITIES[kind],
        version=version,
        time_ms=last[1],
        first_event=since[0] or last[0],
        last_event=last[0],
        onset_ms=since[1],
        evidence=evidence,
        summary=summary,
    )


def shown(explanation: Explanation) -> dict[str, Json]:
    """Return an explanation as evidence."""
    best = explanation.slice
    found = {**msgspec.structs.asdict(best), "measure": explanation.measure} if best else None
    return {"slice": found, "slices_unknown": explanation.unknown, "examples": explanation.examples}


def where(explanation: Explanation) -> str:
    """Return where an alarm is mostly right, as the end of its sentence."""
    best, unknown = explanation.slice, explanation.unknown
    blamed = f". Mostly where {best.name} ({best.share:.0%} of the events since)" if best else ""
    return blamed + (f". Of {', '.join(unknown)} the reference holds too little to tell" if unknown else "")


def label_first(events: Sequence[RecentEvent], labelled: Collection[int]) -> dict[str, Json]:
    """Return the events that are to be labelled first; those `labelled` are left out."""
    done = set(labelled)
    return {"label_first": informative([event for event in events if event_print(event.id) not in done])}


def log10(ratio: float) -> float:
    """Return the logarithm of a statistic over its threshold, not below `LEAST_EVIDENCE`, to 4 decimals."""
    return round(max(math.log10(ratio), LEAST_EVIDENCE), 4) if ratio > 0 else LEAST_EVIDENCE
