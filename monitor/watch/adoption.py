"""Later labels as a baseline, where the reference has too few of its own; and ratings, which have no other one."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from monitor.describe.people import UNKNOWN, together
from monitor.selection.sources import is_drawn, parted
from monitor.selection.weights import scaled
from monitor.settings import MonitorSettings
from monitor.signals import quality
from monitor.signals.interface import Baseline
from monitor.watch.version import (
    Label,
    Latest,
    RatedLosses,
    VersionState,
    baselines,
    by_source,
    fewest_ratings,
    measured,
)

ADOPTED_S = 86_400  # after the reference is complete: without enough labels of it by then, the first later ones do


def adopt(settings: MonitorSettings, version: VersionState) -> VersionState:
    """Take the first later labels of each source as baseline, once the reference's own are no longer expected. Those
    that come all the same are added to it: where labels are plentiful, no baseline waits for the last of them. Of
    ratings as many are taken as say what is usual."""
    waiting = version.queue.waiting
    for source, mine in _ratings(waiting).items():
        rated = version.past.rated.get(source, RatedLosses())
        version = _rated(version, source, mine[: max(0, fewest_ratings(settings) - len(rated.losses))])
    labels = [label for label in waiting if not parted(label.origin)[0] and not is_drawn(label.origin)]
    newest_ms = max((label.time_ms for label in labels), default=0)
    if newest_ms <= version.frozen_ms + min(settings.late_labels_s, ADOPTED_S) * 1_000:
        return version
    for source in dict.fromkeys(label.origin for label in labels):
        version = _until_enough(settings, version, source, settings.min_reference_labels)
    return version


def adopt_drawn(settings: MonitorSettings, version: VersionState) -> VersionState:
    """Take the first labels of drawn replies as their source's baseline: they have no part in the reference."""
    for source in dict.fromkeys(label.origin for label in version.queue.waiting if is_drawn(label.origin)):
        version = _until_enough(settings, version, source, quality.drawn_least(settings))
    return version


def adopt_early(version: VersionState) -> VersionState:
    """Take the ratings that came before the reference was complete."""
    for source, mine in _ratings(version.queue.waiting).items():
        version = _rated(version, source, [label for label in mine if label.time_ms <= version.frozen_ms])
    return version


def steps_of(latest: Latest, labels: Sequence[Label]) -> list[list[int]]:
    """Return the places of those that are one step: a person's of one turn, or one reply's where the person is
    unknown."""
    people = [known.person if (known := latest.recent.get(label.reply)) else UNKNOWN for label in labels]
    steps = zip(labels, people, strict=True)
    return together([(label.turn, label.origin, who or -1 - k) for k, (label, who) in enumerate(steps)])


def placed(sources: Sequence[str], source: str) -> tuple[list[str], int]:
    """Return the names with this one among them, and its place."""
    names = list(sources) if source in sources else [*sources, source]
    return names, names.index(source)


def _ratings(waiting: Sequence[Label]) -> dict[str, list[Label]]:
    """Return the ratings of each source, in their order."""
    found: dict[str, list[Label]] = {}
    for label in waiting:
        if parted(label.origin)[0]:
            found.setdefault(label.origin, []).append(label)
    return found


def _rated(version: VersionState, source: str, chosen: Sequence[Label]) -> VersionState:
    if not chosen:
        return version
    past, known = version.past, version.past.rated.get(source, RatedLosses())
    losses = [*known.losses, *(label.loss for label in chosen)]
    steps = [*known.steps, *_numbered(version.latest, chosen, len(known.losses))]
    rated = past.rated | {source: RatedLosses(losses, steps)}
    return _without(replace(version, past=replace(past, rated=rated)), chosen)


def _until_enough(settings: MonitorSettings, version: VersionState, source: str, least: int) -> VersionState:
    known = baselines(settings, version).get(source, Baseline())
    return version if known.enough else _adopted(version, source, least - known.labelled)


def _adopted(version: VersionState, source: str, lacking: int) -> VersionState:
    past = version.past
    chosen = [label for label in version.queue.waiting if label.origin == source][:lacking]
    names, place = placed(past.sources, source)
    adopted_steps = [*past.adopted_steps, *_numbered(version.latest, chosen, len(past.adopted_losses))]
    losses = [*past.adopted_losses, *(_counted(label) for label in chosen)]
    origins = [*(past.adopted_origins or [0] * len(past.adopted_losses)), *([place] * len(chosen))]
    past = replace(past, adopted_losses=losses, adopted_steps=adopted_steps, adopted_origins=origins, sources=names)
    return _without(replace(version, past=past), chosen)


def _counted(label: Label) -> float:
    """Return the loss as its source's test takes it."""
    return scaled(label.loss, label.weight) if is_drawn(label.origin) else label.loss


def _numbered(latest: Latest, labels: Sequence[Label], first: int) -> list[int]:
    """Return a number for the step of each, from `first` on."""
    steps = {k: first + i for i, group in enumerate(steps_of(latest, labels)) for k in group}
    return [steps[k] for k in range(len(labels))]


def _without(version: VersionState, chosen: Sequence[Label]) -> VersionState:
    """Return the version with what its labels say brought up to date, and these waiting no longer."""
    prints, past = {label.event_print for label in chosen}, version.past
    waiting = [label for label in version.queue.waiting if label.event_print not in prints]
    past = replace(past, known=measured(past), known_by=by_source(past))
    return replace(version, past=past, queue=replace(version.queue, waiting=waiting))
