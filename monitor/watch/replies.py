"""Served replies of one version: into its reference until that is complete, then past its signals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from msgspec.structs import replace

from monitor.describe.fingerprint import event_print
from monitor.describe.people import UNKNOWN, bare, crowds, person
from monitor.describe.traits import kept, traits
from monitor.explain import examples
from monitor.explain.slices import named
from monitor.findings import Finding, LabelsWanted, ReferenceFrozen
from monitor.losses import UNLABELLED
from monitor.reference.frozen import Reference, event_scores, freeze, scorer
from monitor.reference.sample import ReferenceSample, gather
from monitor.reference.shared import of_reference, own_text
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings
from monitor.signals import estimated_quality, flags
from monitor.signals.interface import Baseline, Replies, ServedRequests
from monitor.watch import untested
from monitor.watch.bursts import first_of_bursts, sketches
from monitor.watch.open_alarms import Step, taken
from monitor.watch.version import AwaitedEvent, Gathering, VersionState, about, baseline, started

RECENT_KEPT = 2_000
REPEATS_KEPT = 1_000

T = TypeVar("T")


def take_replies(settings: MonitorSettings, version: VersionState, rows: ScoreRows, *, ends_turn: bool = True) -> Step:
    """Take the champion's replies of this version, in order. `ends_turn`: no more of their turn follow."""
    version = replace(version, seen_ms=max([version.seen_ms, *rows.times_ms]))
    version, findings = taken(settings, version, ServedRequests(rows))
    healthy = rows.take([i for i, status in enumerate(rows.statuses) if status == 200 and rows.descriptors])
    version, rows = _singled(version, healthy)
    if version.reference is None:
        version, found, rows = _gather(settings, version, rows)
        findings += found
    if len(rows):
        version, found = _compare(settings, version, rows, ends_turn=ends_turn)
        findings += found
    return version, findings


def _singled(version: VersionState, rows: ScoreRows) -> tuple[VersionState, ScoreRows]:
    """Leave out the rows that only repeat their sender's message."""
    fresh, bursts = first_of_bursts(version.bursts, rows.clients, rows.times_ms, sketches(rows))
    version = replace(version, bursts=bursts)
    if all(fresh):
        return version, rows
    repeated = [event_print(rows.ids[i]) for i, first in enumerate(fresh) if not first]
    queue = replace(version.queue, repeats=[*version.queue.repeats, *repeated][-REPEATS_KEPT:])
    return replace(version, queue=queue), rows.take([i for i, first in enumerate(fresh) if first])


def _gather(
    settings: MonitorSettings, version: VersionState, rows: ScoreRows
) -> tuple[VersionState, list[Finding], ScoreRows]:
    """Take events into the reference until it is complete; those that came after are given back."""
    past, gathering = version.past, version.gathering
    wanted, span_ms = settings.reference_events, settings.reference_span_s * 1_000
    grown = gather(gathering.sample, rows.times_ms, wanted=wanted, span_ms=span_ms)
    fresh, size = rows.take(range(grown.taken)), len(past.losses)
    names, members = named(version.latest.slices, fresh.tags or [{}] * len(fresh))

    def of(older: Sequence[T], newer: Sequence[T]) -> list[T]:
        both = [*older, *newer]
        return [both[i] for i in grown.kept]

    version = replace(
        version,
        gathering=Gathering(
            rows=of(gathering.rows, fresh.descriptors),
            prints=of(gathering.prints, [event_print(id) for id in fresh.ids]),
            passages=of(*_passages(gathering, fresh)) if settings.passages_fit else [],
            sample=grown.sample,
        ),
        past=replace(
            past,
            losses=of(past.losses, [UNLABELLED] * len(fresh)),
            turns=of(past.turns or [0] * size, [0] * len(fresh)),
            origins=of(past.origins or [0] * size, [0] * len(fresh)),
            people=of(past.people or [UNKNOWN] * size, [person(client) for client in fresh.clients]),
            members=of(past.members or [()] * size, members),
            traits=of(past.traits, traits(fresh)),
            known=None,
            known_by={},
        ),
        latest=replace(version.latest, slices=names),
    )
    if not grown.complete:
        return version, [], rows.take([])
    version, findings = _freeze(settings, version, fresh.times_ms[-1])
    return version, findings, rows.take(range(grown.taken, len(rows)))


def _passages(gathering: Gathering, fresh: ScoreRows) -> tuple[list[bytes], list[bytes]]:
    """Return those of the events gathered and of those that come; a worker of an earlier version sends none."""
    return gathering.passages or [b""] * len(gathering.rows), fresh.passages or [b""] * len(fresh)


def _freeze(settings: MonitorSettings, version: VersionState, time_ms: int) -> Step:
    """Complete the reference, and start the signals that need it."""
    past, sample, many = version.past, version.gathering.sample, crowds(version.past.people)
    past = replace(past, people=[UNKNOWN if who in many else who for who in past.people], crowds=many)
    gathering = version.gathering
    texts = [each.text for each in past.traits]
    shared, own = of_reference(version.names, gathering.rows, texts, gathering.passages)
    past = replace(past, traits=[replace(each, text=text) for each, text in zip(past.traits, own.prints, strict=True)])
    complete = freeze(version.names, own.rows, gathering.prints, sample.times_ms, sample.places, past.traits)
    complete = replace(complete, shared=shared)
    past = replace(past, traits=[kept(each, complete.categories) for each in past.traits])
    version = replace(
        version, past=past, reference=complete, frozen_ms=time_ms, gathering=Gathering(sample=ReferenceSample())
    )
    version, known = started(settings, version), baseline(settings, version)
    frozen = ReferenceFrozen(
        version=version.version,
        time_ms=time_ms,
        events=len(complete.rows),
        digest=complete.digest,
        block=scorer(complete).block,
        labelled=known.labelled,
        loss=known.loss,
        limit=known.limit,
        unwatched=complete.swinging,
    )
    version, left_out = untested.found(settings, version, time_ms)
    return version, [frozen, *_wanted(settings, version, known, time_ms), *left_out]


def _wanted(settings: MonitorSettings, version: VersionState, known: Baseline, time_ms: int) -> list[Finding]:
    if known.enough:
        return []
    reason = (
        f"{known.labelled} of the reference's {settings.reference_events} events are labelled; "
        f"{settings.min_reference_labels} are needed to prove harm"
    )
    return [LabelsWanted(version=version.version, time_ms=time_ms, reason=reason)]


def _compare(settings: MonitorSettings, version: VersionState, rows: ScoreRows, *, ends_turn: bool) -> Step:
    """Compare replies with the reference, and remember them for alarms and labels to come."""
    assert version.reference is not None
    rows = _own(version.reference, _of_people(version.past.crowds, rows))
    prints = [event_print(id) for id in rows.ids]
    values = np.asarray(rows.descriptors, dtype=np.float64)
    scores = event_scores(scorer(version.reference), values, prints, rows.times_ms)
    known, hits = about(settings, version, "estimated_quality"), flags.crossed(version.safety, values)
    chances = estimated_quality.chances(known, version.estimated_quality, rows.descriptors)
    names, fresh = examples.recent_events(version.latest.slices, rows, scores, chances, traits(rows), hits)
    version = replace(version, latest=replace(version.latest, slices=names))
    version, findings = taken(settings, version, Replies(rows, fresh, prints, values, scores, ends_turn))
    recent = version.latest.recent | {
        one: AwaitedEvent(event.time_ms, event.chance, event.slices, person(client))
        for one, event, client in zip(prints, fresh, rows.clients, strict=True)
    }
    for oldest in list(islice(recent, max(0, len(recent) - RECENT_KEPT))):
        del recent[oldest]
    latest = replace(version.latest, recent=recent, events=examples.kept(version.latest.events, fresh))
    return replace(version, latest=latest), findings


def _own(reference: Reference, rows: ScoreRows) -> ScoreRows:
    """Return the rows as what is left of their prompts describes them, without what the reference's share."""
    if not reference.shared.hashes or not rows.passages:
        return rows
    prints = rows.fingerprints or [0] * len(rows)
    own = own_text(reference.shared, reference.names, rows.descriptors, prints, rows.passages)
    return replace(rows, descriptors=own.rows, fingerprints=own.prints)


def _of_people(crowds: Sequence[int], rows: ScoreRows) -> ScoreRows:
    """Return the rows, of an unknown person where one name stands for many."""
    if not crowds:
        return rows
    return replace(rows, clients=[bare(each) if person(each) in crowds else each for each in rows.clients])
