"""One metric at a time: losses of two metrics cannot be compared, so the labels of one version are those of one metric.

Which one, the majority of the labels says for as long as there are too few to prove harm by; labels of others are held
until then, for they may be the majority later. After that they are strays: counted by their metric and passed over.
Where most of the last ones are strays, labels are of another metric now, and that is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from monitor.losses import UNLABELLED
from monitor.metrics import comparable
from monitor.selection.sources import parted
from monitor.settings import MonitorSettings
from monitor.watch.open_alarms import LABELLED_KEPT
from monitor.watch.version import Label, Past, VersionState, baseline

HELD_KEPT = 2_000  # labels of other metrics, while the majority is not settled
NAMES_KEPT = 16  # metrics that are counted by name; a label of yet another is counted as one of the last
LAST = 20  # labels whose metrics say what labels are now


def of_one_metric(
    settings: MonitorSettings, version: VersionState, labels: Sequence[Label]
) -> tuple[VersionState, list[Label]]:
    """Return the labels whose losses can be compared with those of the version's metric; where the majority is that of
    another one, the version's metric changes, and the labels of that one are returned."""
    if not labels:
        return version, []
    metric = labels[0].metric if version.past.metric is None else version.past.metric
    same = [label for label in labels if comparable(metric, label.metric)]
    strays = [label for label in labels if not comparable(metric, label.metric)]
    version = _counted(version, metric or next((each.metric for each in same if each.metric), ""), labels, strays)
    if not strays and not version.queue.held:
        return version, same
    if version.reference is not None and baseline(settings, version).enough:
        return _passed_over(version, [*version.queue.held, *strays]), same
    version = replace(version, queue=replace(version.queue, held=[*version.queue.held, *strays][-HELD_KEPT:]))
    most, count = Counter(label.metric for label in version.queue.held).most_common(1)[0]
    return _changed(version, most, same) if count > _known(version) + len(same) else (version, same)


def _counted(version: VersionState, metric: str, labels: Sequence[Label], strays: Sequence[Label]) -> VersionState:
    """Count strays, and what share of the last labels they are; so many of them are of another metric now."""
    past, counts = version.past, dict(version.past.strays)
    for label in strays:
        name = label.metric if label.metric in counts or len(counts) < NAMES_KEPT else list(counts)[-1]
        counts[name] = counts.get(name, 0) + 1
    share = past.stray_share
    for label in labels:
        share += (float(not comparable(metric, label.metric)) - share) / LAST
    strange = "" if share <= 0.5 else strays[-1].metric if strays else past.strange
    return replace(version, past=replace(past, metric=metric, strays=counts, stray_share=share, strange=strange))


def _passed_over(version: VersionState, strays: Sequence[Label]) -> VersionState:
    """Need no further label of these events: they have one, which is compared with nothing."""
    labelled = dict.fromkeys([*version.queue.labelled, *(label.event_print for label in strays)])
    return replace(version, queue=replace(version.queue, held=[], labelled=list(labelled)[-LABELLED_KEPT:]))


def _known(version: VersionState) -> int:
    """Return how many labels of the version's metric there are."""
    settled = sum(loss != UNLABELLED for loss in version.past.losses)
    return settled + len(version.past.adopted_losses) + len(_waiting(version))


def _waiting(version: VersionState) -> list[Label]:
    return [label for label in version.queue.waiting if not parted(label.origin)[0]]


def _changed(version: VersionState, metric: str, same: Sequence[Label]) -> tuple[VersionState, list[Label]]:
    """Return the version with this metric, and its labels; those of the one before are strays now."""
    past, queue = version.past, version.queue
    before, waiting = [*_settled(version), *same], _waiting(version)
    passed = {label.event_print for label in waiting}
    chosen = [label for label in queue.held if comparable(metric, label.metric)]
    rest = [label for label in queue.held if not comparable(metric, label.metric)]
    strays = {name: count for name, count in past.strays.items() if not comparable(metric, name)}
    strays[past.metric or ""] = len(before) + len(waiting) + len(past.adopted_losses)
    fresh = Past(
        losses=[UNLABELLED] * len(past.losses),
        metric=metric,
        volunteered=past.volunteered,
        people=past.people,
        crowds=past.crowds,
        members=past.members,
        traits=past.traits,
        rated=past.rated,
        strays=strays,
    )
    queue = replace(
        queue,
        held=[*rest, *before, *waiting][-HELD_KEPT:],
        waiting=[label for label in queue.waiting if parted(label.origin)[0]],
        labelled=[each for each in queue.labelled if each not in passed],
    )
    return replace(version, past=fresh, queue=queue), chosen


def _settled(version: VersionState) -> list[Label]:
    """Return the labels of the reference's events again, as far as they are remembered."""
    past, reference = version.past, version.reference
    prints = reference.prints if reference else version.gathering.prints
    turns, origins = past.turns or [0] * len(prints), past.origins or [0] * len(prints)
    return [
        Label(version.version, "", one, 0, loss, past.metric or "", turn, past.sources[origin])
        for one, loss, turn, origin in zip(prints, past.losses, turns, origins, strict=True)
        if loss != UNLABELLED
    ]
