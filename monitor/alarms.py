"""Evidence put into words: what a detector found, as an alarm a human can judge."""

from __future__ import annotations

from datetime import UTC, datetime

from monitor.burn_rate import Burn
from monitor.detectors.interface import Change, Moment
from monitor.detectors.risk import Harm
from monitor.findings import SEVERITIES, Alarm, Json, Kind
from monitor.reference import Scorer
from monitor.settings import MonitorSettings
from monitor.watch import Baseline, Watch, drift_detector, log10

MOST_MOVED = 3


def quality(settings: MonitorSettings, watch: Watch, known: Baseline, harm: Harm, last: Moment) -> Alarm:
    """Labels prove that more answers are wrong than the limit accepts."""
    accuracy = 1.0 - harm.losses / harm.count
    summary = (
        f"{watch.version} is right in {accuracy:.0%} of the {harm.count} labelled answers since "
        f"{clock(harm.since[1])}; it was {_share(known)} in the reference"
    )
    evidence = _harm_evidence(settings.label_arl, known, harm) | {"accuracy_since_onset": round(accuracy, 4)}
    return _alarm("quality", watch, harm.since, last, evidence, summary)


def estimated_quality(settings: MonitorSettings, watch: Watch, known: Baseline, harm: Harm, last: Moment) -> Alarm:
    """The model's own confidence promises fewer right answers than the limit accepts."""
    accuracy = 1.0 - harm.losses / harm.count
    summary = (
        f"{watch.version} seems right in only {accuracy:.0%} of the answers since {clock(harm.since[1])}, by its own "
        f"confidence; it was {_share(known)} in the reference. An estimate: labels must tell"
    )
    evidence = _harm_evidence(settings.arl_events, known, harm) | {"estimated_accuracy": round(accuracy, 4)}
    return _alarm("estimated_quality", watch, harm.since, last, evidence, summary)


def drift(settings: MonitorSettings, watch: Watch, ready: Scorer, change: Change, last: Moment) -> Alarm:
    """The events look different from the reference; whether that does harm is another question."""
    threshold = drift_detector(settings, ready, watch.names).arl
    order = sorted(range(len(change.each)), key=lambda j: -change.each[j])[:MOST_MOVED]
    moved: list[Json] = [{"name": watch.names[j], "log10_evidence": log10(change.each[j] / threshold)} for j in order]
    evidence: dict[str, Json] = {
        "statistic": change.statistic,
        "threshold": threshold,
        "block": ready.block,
        "reference_events": int(ready.events.shape[1]),
        "moved": moved,
        "alternative": change.what,
    }
    summary = f"What {watch.version} sees has changed since {clock(change.since[1])}: mostly {change.what}"
    return _alarm("drift", watch, change.since, last, evidence, summary)


def burn(kind: Kind, watch: Watch, found: Burn, last: Moment) -> Alarm:
    """An error budget is being used up too fast."""
    what = "failed" if kind == "errors" else "were slower than promised"
    summary = (
        f"{found.bad} of {found.requests} requests to {watch.version} {what} in the last "
        f"{found.long_s} s: the budget burns {found.burning:.0f} times too fast"
    )
    evidence: dict[str, Json] = {
        "statistic": found.burning,
        "threshold": found.rate,
        "long_s": found.long_s,
        "short_s": found.short_s,
        "requests": found.requests,
        "bad": found.bad,
    }
    return _alarm(kind, watch, ("", found.since_ms), last, evidence, summary)


def clock(time_ms: int) -> str:
    """Time of day in UTC.

    >>> clock(3_600_000)
    '01:00:00 UTC'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%H:%M:%S UTC")


def _harm_evidence(threshold: float, known: Baseline, harm: Harm) -> dict[str, Json]:
    return {
        "statistic": harm.statistic,
        "threshold": threshold,
        "limit": known.limit,
        "baseline": {"labelled": known.labelled, "errors": known.errors},
        "since_onset": {"count": harm.count, "losses": round(harm.losses, 4)},
    }


def _share(known: Baseline) -> str:
    return f"{1.0 - known.errors / known.labelled:.0%}" if known.labelled else "unknown"


def _alarm(kind: Kind, watch: Watch, since: Moment, last: Moment, evidence: dict[str, Json], summary: str) -> Alarm:
    return Alarm(
        kind=kind,
        severity=SEVERITIES[kind],
        version=watch.version,
        time_ms=last[1],
        first_event=since[0] or last[0],
        last_event=last[0],
        onset_ms=since[1],
        evidence=evidence,
        summary=summary,
    )
