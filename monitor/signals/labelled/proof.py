"""Proven harm as an alarm has it: its evidence, and a sentence that says which labels it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.detectors.interface import Moment
from monitor.detectors.risk import ProvenHarm
from monitor.explain.alarm import alarm, shown, where
from monitor.explain.examples import explain
from monitor.explain.slices import Member, Valued
from monitor.findings import Alarm, Json, clock
from monitor.losses import UNLABELLED
from monitor.selection.sources import BEFORE_SOURCES, MEANING, parted, read
from monitor.signals import wording
from monitor.signals.interface import About


def harm_evidence(threshold: float, about: About, harm: ProvenHarm) -> dict[str, Json]:
    """Return what proves harm, as an alarm carries it."""
    known = about.baseline
    return {
        "metric": about.rating or about.metric,
        "statistic": harm.statistic,
        "threshold": threshold,
        "limit": known.limit,
        "baseline": {"labelled": known.labelled, "loss": known.loss},
        "since_onset": {"count": harm.count, "losses": round(harm.losses, 4)},
    }


def alarm_of(about: About, source: str, threshold: float, harm: ProvenHarm, last: Moment, missing: str = "") -> Alarm:
    """Return the alarm that answers are worse than the limit accepts; `about` has the source's own baseline.
    `missing`: a clause about labels that did not come."""
    loss, since_ms = harm.losses / max(1, harm.count), harm.since[1]
    losses, before = [event.loss for event in about.tested], _reference_losses(about.members, about.losses)
    measure = wording.measure(about)
    explained = explain(about.slices, about.tested, losses, before, since_ms=since_ms, measure=measure)
    summary = (
        f"{about.version} {wording.is_as_good(about, loss)} the {harm.count} {wording.judged(about)} answers since "
        f"{clock(since_ms)}; it was {wording.was_as_good(about)} in the reference"
    )
    proof = harm_evidence(threshold, about, harm) | {"loss_since_onset": round(loss, 4)}
    summary += where(explained)
    if source != BEFORE_SOURCES:
        proof["rests_on"] = parted(source)[1]
        summary += f". It rests on {wording.given(about.rating)} {MEANING[read(source).selection]}{missing}"
    if about.rating:
        proof["rating"] = about.rating
    return alarm(about.kind, about.version, harm.since, last, proof | shown(explained), summary, harm=loss)


def _reference_losses(members: Sequence[Member], losses: Sequence[float]) -> Valued:
    """Return what the labels of the reference say, with the slices of each."""
    pairs = zip(members or [()] * len(losses), losses, strict=True)
    known = [(each, loss) for each, loss in pairs if loss != UNLABELLED]
    return Valued([each for each, _ in known], [loss for _, loss in known])
