"""Served replies of one version: into its reference until that is complete, then past its detectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from msgspec.structs import replace

from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.fingerprint import event_print
from monitor.describe.people import UNKNOWN, bare, crowds, person
from monitor.describe.traits import kept, traits
from monitor.detectors.blocks import fill
from monitor.detectors.episode import Over, steps
from monitor.detectors.interface import Floats, Moment
from monitor.explain import alarm as alarms
from monitor.explain import examples as lately
from monitor.explain.examples import Seen
from monitor.explain.slices import named
from monitor.findings import Finding, LabelsWanted, ReferenceFrozen
from monitor.reference import frozen as reference
from monitor.reference.sample import Sample, gather
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from monitor.signals import calibration, safety
from monitor.signals.drift import detectors
from monitor.watch import conduct, untested
from monitor.watch.bursts import first_of_bursts, sketches
from monitor.watch.open_alarms import closed, opened, withdrawn
from monitor.watch.version import (
    UNLABELLED,
    Baseline,
    Recent,
    Watch,
    baseline,
    calibrated,
    doubter,
)

RECENT_KEPT = 2_000
REPEATS_KEPT = 1_000

Found = tuple[Watch, list[Finding]]
T = TypeVar("T")


def serve(settings: MonitorSettings, watch: Watch, rows: ScoreRows, *, ends_turn: bool = True) -> Found:
    """Takes the champion's replies of this version, in order, and whether more of their turn may follow."""
    watch, findings = conduct.burn(settings, replace(watch, seen_ms=max([watch.seen_ms, *rows.times_ms])), rows)
    watch, rows = _singled(watch, _healthy(rows))
    if watch.reference is None:
        watch, found, rows = _gather(settings, watch, rows)
        findings += found
    if len(rows):
        watch, found = _detect(settings, watch, rows, ends_turn=ends_turn)
        findings += found
    return watch, findings


def _healthy(rows: ScoreRows) -> ScoreRows:
    """Answered and described."""
    return rows.take([i for i, status in enumerate(rows.statuses) if status == 200 and rows.descriptors])


def _singled(watch: Watch, rows: ScoreRows) -> tuple[Watch, ScoreRows]:
    """The rows without those that only repeat their sender's message."""
    fresh, bursts = first_of_bursts(watch.bursts, rows.clients, rows.times_ms, sketches(rows))
    if all(fresh):
        return replace(watch, bursts=bursts), rows
    repeated = [event_print(rows.ids[i]) for i, first in enumerate(fresh) if not first]
    repeats = [*watch.repeats, *repeated][-REPEATS_KEPT:]
    kept = rows.take([i for i, first in enumerate(fresh) if first])
    return replace(watch, bursts=bursts, repeats=repeats), kept


def _gather(settings: MonitorSettings, watch: Watch, rows: ScoreRows) -> tuple[Watch, list[Finding], ScoreRows]:
    """Events into the reference until it is complete; those that came after are given back."""
    wanted, span_ms = settings.reference_events, settings.reference_span_s * 1_000
    grown = gather(watch.sample, rows.times_ms, wanted=wanted, span_ms=span_ms)
    taken = rows.take(range(grown.taken))
    names, members = named(watch.slices, taken.tags or [{}] * len(taken))

    def of(older: Sequence[T], newer: Sequence[T]) -> list[T]:
        both = [*older, *newer]
        return [both[i] for i in grown.kept]

    watch = replace(
        watch,
        sample=grown.sample,
        rows=of(watch.rows, taken.descriptors),
        prints=of(watch.prints, [event_print(id) for id in taken.ids]),
        labels=of(watch.labels, [UNLABELLED] * len(taken)),
        turns=of(watch.turns or [0] * len(watch.labels), [0] * len(taken)),
        people=of(watch.people or [UNKNOWN] * len(watch.labels), [person(client) for client in taken.clients]),
        members=of(watch.members or [()] * len(watch.labels), members),
        slices=names,
        known=None,
        traits=of(watch.traits, traits(taken)),
    )
    if not grown.complete:
        return watch, [], rows.take([])
    watch, findings = _freeze(settings, watch, taken.times_ms[-1])
    return watch, findings, rows.take(range(grown.taken, len(rows)))


def _freeze(settings: MonitorSettings, watch: Watch, time_ms: int) -> Found:
    sample, many = watch.sample, crowds(watch.people)
    people = [UNKNOWN if who in many else who for who in watch.people]
    watch = replace(watch, people=people, crowds=many)
    complete = reference.freeze(watch.names, watch.rows, watch.prints, sample.times_ms, sample.places, watch.traits)
    known = baseline(settings, watch)
    frozen = ReferenceFrozen(
        version=watch.version,
        time_ms=time_ms,
        events=len(complete.rows),
        digest=complete.digest,
        block=reference.scorer(complete).block,
        labelled=known.labelled,
        errors=known.errors,
        limit=known.limit,
        unwatched=complete.swinging,
    )
    drift = detectors(complete, settings.arl_events).start()
    flags = safety.start(settings.safety, watch.names, watch.rows, watch.people, sample.times_ms)
    watch = replace(watch, reference=complete, frozen_ms=time_ms, drift=drift, safety=flags)
    watch = replace(watch, rows=[], prints=[], traits=[kept(each, complete.categories) for each in watch.traits])
    watch, left_out = untested.told(settings, replace(watch, sample=Sample()), time_ms)
    return watch, [frozen, *_wanted(settings, watch, known, time_ms), *left_out]


def _wanted(settings: MonitorSettings, watch: Watch, known: Baseline, time_ms: int) -> list[Finding]:
    if known.enough:
        return []
    reason = (
        f"{known.labelled} of the reference's {settings.reference_events} events are labelled; "
        f"{settings.min_reference_labels} are needed to prove harm"
    )
    return [LabelsWanted(version=watch.version, time_ms=time_ms, reason=reason)]


def _detect(settings: MonitorSettings, watch: Watch, rows: ScoreRows, *, ends_turn: bool) -> Found:
    assert watch.reference is not None
    rows = _of_people(watch, rows)
    prints = [event_print(id) for id in rows.ids]
    values = np.asarray(rows.descriptors, dtype=np.float64)
    scores = reference.event_scores(reference.scorer(watch.reference), values, prints, rows.times_ms)
    flags = safety.crossed(watch.safety, values)
    names, fresh = lately.seen(watch.slices, rows, scores, _chances(watch, rows), traits(rows), flags)
    watch = replace(watch, slices=names)
    watch, drifted = _drift(settings, watch, fresh, scores, prints)
    watch, feared = _estimate(settings, watch, fresh)
    watch, unsafe = conduct.unsafe(settings, watch, rows, values, fresh, ends_turn=ends_turn)
    watch, unfair = conduct.unfair(settings, watch, rows)
    recent = watch.recent | {
        one: Recent(event.time_ms, event.chance, event.slices, person(client))
        for one, event, client in zip(prints, fresh, rows.clients, strict=True)
    }
    for oldest in list(islice(recent, max(0, len(recent) - RECENT_KEPT))):
        del recent[oldest]
    return replace(watch, recent=recent, lately=lately.kept(watch.lately, fresh)), [*drifted, *feared, *unsafe, *unfair]


def _of_people(watch: Watch, rows: ScoreRows) -> ScoreRows:
    """The rows, of nobody known where one stands for many."""
    if not watch.crowds:
        return rows
    return replace(rows, clients=[bare(each) if person(each) in watch.crowds else each for each in rows.clients])


def _drift(
    settings: MonitorSettings, watch: Watch, fresh: Sequence[Seen], scores: Floats, prints: Sequence[int]
) -> Found:
    assert watch.reference is not None
    ours = detectors(watch.reference, settings.arl_events)
    moments, after = _moments(fresh), settings.alarm_clear_events
    state, turns = ours.follow(watch.drift, scores, prints, [event.traits for event in fresh], moments, after)
    watch, findings = replace(watch, drift=state), list[Finding]()
    for turn in turns:
        if isinstance(turn, Over):
            watch, found = closed(watch, "drift", moments[turn.step], "quiet")
        else:
            shown = lately.kept(watch.lately, fresh[: turn.end + 1])
            watch, found = opened(watch, alarms.drift(watch, ours, turn, shown))
        findings += found
    return watch, findings


def _chances(watch: Watch, rows: ScoreRows) -> list[float]:
    """Each reply's estimated chance of being right; -1 where there is no estimate."""
    fitted = calibrated(watch)
    if fitted is None:
        return [-1.0] * len(rows)
    column = watch.names.index(CONFIDENCE[-1])
    confidences = [row[column] for row in rows.descriptors]
    chances = np.round(calibration.predict(fitted, confidences), 4).tolist()
    return [chance if known <= 0 else -1.0 for chance, known in zip(chances, confidences, strict=True)]


def _estimate(settings: MonitorSettings, watch: Watch, fresh: Sequence[Seen]) -> Found:
    assert watch.reference is not None
    known = baseline(settings, watch)
    if known.limit is None:
        return withdrawn(settings, watch, "estimated_quality", (fresh[-1].id, fresh[-1].time_ms))
    losses = np.array([[1.0 - event.chance if event.chance >= 0 else math.nan] for event in fresh])
    length = reference.scorer(watch.reference).block
    block, means, firsts, ends = fill(watch.doubt, length, losses.reshape(len(fresh), 1), _moments(fresh))
    limit = doubter(settings, watch.reference, known.limit)
    after = steps(settings.alarm_clear_events, length)
    estimated, turns = limit.follow(watch.estimated, means[:, 0].tolist(), firsts, after)
    watch, findings = replace(watch, estimated=estimated, doubt=block), list[Finding]()
    for turn in turns:
        shown = lately.kept(watch.lately, fresh[: ends[turn.step] + 1])
        if isinstance(turn, Over):
            watch, found = closed(watch, "estimated_quality", (shown[-1].id, shown[-1].time_ms), "quiet")
        else:
            watch, found = opened(watch, alarms.estimated_quality(limit.arl, watch, known, turn, shown))
        findings += found
    return watch, findings


def _moments(events: Sequence[Seen]) -> list[Moment]:
    return [(event.id, event.time_ms) for event in events]
