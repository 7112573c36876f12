"""Evidence put into words: what a detector found, as an alarm a human can judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from monitor.describe.fingerprint import event_print
from monitor.detectors.interface import Moment
from monitor.detectors.risk import Harm
from monitor.explain import earlier
from monitor.explain.examples import Seen, Story, Told, informative, speaking, story
from monitor.findings import SEVERITIES, Alarm, Json, Kind
from monitor.settings import MonitorSettings
from monitor.signals import calibration
from monitor.signals.burn_rate import Burn
from monitor.signals.drift import Drift, Found
from monitor.signals.fairness import Unfair
from monitor.signals.safety import Unsafe
from monitor.watch.version import Baseline, Watch, calibrated, log10

MOST_MOVED = 3


def quality(settings: MonitorSettings, watch: Watch, known: Baseline, harm: Harm, last: Told) -> Alarm:
    """Labels prove that more answers are wrong than the limit accepts."""
    accuracy = 1.0 - harm.losses / harm.count
    losses = [event.loss for event in watch.told]
    before = earlier.losses(watch)
    told = story(watch.slices, watch.told, losses, before, since_ms=harm.since[1], measure="share of wrong answers")
    summary = (
        f"{watch.version} is right in {accuracy:.0%} of the {harm.count} labelled answers since "
        f"{clock(harm.since[1])}; it was {_share(known)} in the reference"
    )
    evidence = _harm_evidence(settings.label_arl / known.block, known, harm) | {
        "accuracy_since_onset": round(accuracy, 4)
    }
    last_seen = (last.id, last.time_ms)
    return _alarm(
        "quality", watch, harm.since, last_seen, evidence | _shown(told), summary + _where(told), harm=1.0 - accuracy
    )


def estimated_quality(threshold: float, watch: Watch, known: Baseline, harm: Harm, shown: Sequence[Seen]) -> Alarm:
    """The model's own confidence promises fewer right answers than the limit accepts."""
    accuracy = 1.0 - harm.losses / harm.count
    values, measure = _doubts(shown), "estimated share of wrong answers"
    known_before = earlier.events(watch)
    before = earlier.valued(known_before, _doubts(known_before))
    told = story(watch.slices, shown, values, before, since_ms=harm.since[1], measure=measure)
    summary = (
        f"{watch.version} seems right in only {accuracy:.0%} of the answers since {clock(harm.since[1])}, by its own "
        f"confidence; it was {_share(known)} in the reference. An estimate: labels must tell"
    )
    evidence = _harm_evidence(threshold, known, harm) | {"estimated_accuracy": round(accuracy, 4)}
    evidence |= _interval(watch, harm.since[1], shown) | _shown(told) | _asked(watch, shown)
    summary += _where(told)
    return _alarm("estimated_quality", watch, harm.since, _last(shown), evidence, summary, harm=1.0 - accuracy)


def drift(watch: Watch, detectors: Drift, found: Found, shown: Sequence[Seen]) -> Alarm:
    """The events look different from the reference; whether that does harm is another question."""
    change = found.change
    values, measure = speaking(found, watch.names, shown)
    known = earlier.events(watch)
    before = earlier.valued(known, speaking(found, watch.names, known, shown)[0])
    told = story(watch.slices, shown, values, before, since_ms=change.since[1], measure=measure)
    most = sorted(found.each, key=lambda each: -each[1])[:MOST_MOVED]
    moved: list[Json] = [{"name": name, "log10_evidence": log10(value / detectors.arl)} for name, value in most]
    evidence: dict[str, Json] = {
        "statistic": change.statistic,
        "threshold": detectors.arl,
        "block": detectors.ready.block,
        "reference_events": int(detectors.ready.events.shape[1]),
        "part": found.part,
        "moved": moved,
        "alternative": change.what,
    }
    evidence |= _shown(told) | _asked(watch, shown)
    summary = f"What {watch.version} sees has changed since {clock(change.since[1])}: mostly {change.what}"
    return _alarm("drift", watch, change.since, _last(shown), evidence, summary + _where(told))


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
    return _alarm(kind, watch, ("", found.since_ms), last, evidence, summary, harm=found.bad / found.requests)


def unsafe(watch: Watch, found: Unsafe, shown: Sequence[Seen]) -> Alarm:
    """Answers cross a line more often than they did."""
    hits = [float(found.flag in event.flags) for event in shown]
    known = earlier.events(watch)
    before = earlier.valued(known, [float(found.flag in event.flags) for event in known])
    told = story(watch.slices, shown, hits, before, since_ms=found.onset[1], measure=f"share with {found.flag}")
    summary = f"{watch.version}: {found.summary}{_where(told)}"
    evidence = found.evidence() | _shown(told)
    share = found.since.hits / found.since.rows
    return _alarm("safety", watch, found.onset, found.last, evidence, summary, found.flag, share)


def unfair(watch: Watch, found: Unfair) -> Alarm:
    """One group is served worse than the rest."""
    summary = f"{watch.version}: {found.summary}"
    return _alarm("fairness", watch, found.onset, found.last, found.evidence(), summary, found.about, found.mean)


def clock(time_ms: int) -> str:
    """Time of day in UTC.

    >>> clock(3_600_000)
    '01:00:00 UTC'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%H:%M:%S UTC")


def _shown(told: Story) -> dict[str, Json]:
    found = {**msgspec.structs.asdict(told.slice), "measure": told.measure} if told.slice else None
    return {"slice": found, "slices_unknown": told.unknown, "examples": told.examples}


def _where(told: Story) -> str:
    blamed = f". Mostly where {told.slice.name} ({told.slice.share:.0%} of the events since)" if told.slice else ""
    unknown = f". Of {', '.join(told.unknown)} the reference holds too little to tell" if told.unknown else ""
    return blamed + unknown


def _doubts(events: Sequence[Seen]) -> list[float]:
    return [1.0 - event.chance if event.chance >= 0 else 0.0 for event in events]


def _asked(watch: Watch, shown: Sequence[Seen]) -> dict[str, Json]:
    """The events to be labelled first."""
    labelled = set(watch.labelled)
    return {"label_first": informative([event for event in shown if event_print(event.id) not in labelled])}


def _last(shown: Sequence[Seen]) -> Moment:
    return shown[-1].id, shown[-1].time_ms


def _interval(watch: Watch, since_ms: int, shown: Sequence[Seen]) -> dict[str, Json]:
    """Bounds of the estimate for the events since the onset."""
    chances = [event.chance for event in shown if event.chance >= 0 and event.time_ms >= since_ms]
    fitted = calibrated(watch)
    if fitted is None or not chances:
        return {}
    return {"estimated_interval": [round(bound, 4) for bound in calibration.interval(fitted, chances)]}


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


def _alarm(
    kind: Kind,
    watch: Watch,
    since: Moment,
    last: Moment,
    evidence: dict[str, Json],
    summary: str,
    about: str = "",
    harm: float = 0.0,
) -> Alarm:
    return Alarm(
        about=about,
        harm=round(harm, 4),
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
