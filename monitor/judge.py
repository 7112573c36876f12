"""The judge of an alias: rows in, findings out. Pure; what happens to the findings is the caller's business.

`update` drops what it has already seen (a watermark for each source and partition), so a record processed twice
changes nothing. How rows are cut into batches changes no alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from monitor import windows
from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.fingerprint import event_print
from monitor.findings import Finding, Gap, Kind
from monitor.operator_answer import OperatorAnswer
from monitor.rows import TURN_MS, ScoreRows, turns_of
from monitor.selection.sources import is_drawn, may_judge, rated, read
from monitor.settings import MonitorSettings
from monitor.signals import calibration, estimated_quality, gaps
from monitor.signals.quality import tested_labels
from monitor.watch import labels, open_alarms, replies
from monitor.watch.record import VersionRecord, recorded, restored
from monitor.watch.version import Label, UnresolvedAlarm, VersionState, about, with_evidence
from monitor.windows import Head, WindowCounts, passed_ms

EDITION = 3  # of `update` and `answer`: raise it with whatever makes them find something else in the same inputs
CHAMPION = "champion"
EARLY_KEPT = 1_000
HANDOVER_MS = 5_000  # between replies of two versions: both serve, for gateways do not change over in one moment
TURN_KEPT = 4_000

Source = Literal["inference", "feedback"]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What offsets `first_offset..last_offset` of one partition held for this alias. `time_ms` is when the log took
    the record; the judge knows no other clock. `ends_turn`: no more rows of this source follow in the turn (a second of
    the log's time); what one person sent in a turn is judged as one."""

    source: Source
    partition: int
    first_offset: int
    last_offset: int
    descriptor_names: list[str]
    rows: ScoreRows
    time_ms: int
    ends_turn: bool = True


class AliasState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the judge remembers of an alias; JSON through msgspec, bounded."""

    alias: str
    champion: str = ""
    heads: dict[str, Head] = {}  # source/partition
    watches: dict[str, VersionRecord] = {}  # by version; the one that answered last is last
    windows: WindowCounts = WindowCounts()
    early: list[Label] = []  # labels that came before their event
    turn: list[Label] = []  # labels of the turn that is not over


class VersionProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a version so far."""

    reference_events: int
    raised: dict[str, UnresolvedAlarm]
    evidence: dict[Kind, float]


def start(alias: str) -> AliasState:
    """Return the state in which nothing was seen."""
    return AliasState(alias=alias)


def update(settings: MonitorSettings, state: AliasState, batch: Batch) -> tuple[AliasState, list[Finding]]:
    """Take one batch; the state and findings depend on nothing but the arguments."""
    name = f"{batch.source}/{batch.partition}"
    head = state.heads.get(name, Head())
    rows = batch.rows.after(head.next_offset)
    newest = min(max(rows.times_ms, default=0), batch.time_ms + settings.grace_s * 1_000)
    head = Head(max(head.next_offset, batch.last_offset + 1), max(head.event_ms, newest), batch.time_ms)
    state = replace(state, heads=state.heads | {name: head})
    take = _take_replies if batch.source == "inference" else _take_labels
    state, findings = take(settings, state, rows, batch)
    state, retired = _retire(settings, state)
    counts, closed = windows.close(
        settings,
        state.windows,
        passed_ms(settings, state.heads),
        lambda version: _evidence(state, version),
        lambda version: _gaps(settings, state, version),
    )
    return replace(state, windows=counts), [*findings, *retired, *closed]


def answer(settings: MonitorSettings, state: AliasState, said: OperatorAnswer) -> tuple[AliasState, list[Finding]]:
    """Take an operator's answer; of a version that is not under watch it changes nothing."""
    record = state.watches.get(said.version)
    if record is None:
        return state, []
    change = open_alarms.accepted if said.verb == "accept" else open_alarms.cleared
    version, findings = change(settings, restored(record), said)
    return _with(settings, state, version), findings


def progress(state: AliasState) -> dict[str, VersionProgress]:
    """Return what is known of each version under watch."""
    return {
        version: VersionProgress(
            reference_events=len(record.reference.rows if record.reference else record.rows),
            raised=record.raised,
            evidence=record.evidence,
        )
        for version, record in state.watches.items()
    }


def fresh_labels(state: AliasState, version: str) -> int:
    """Return the labels since the onset of the version's open quality alarm, or since a judge model alone raised one; 0
    without either."""
    record = state.watches.get(version)
    raised = record.raised.get("quality") or record.raised.get("judged_quality") if record else None
    return tested_labels(restored(record).quality) - raised.labels_before if record and raised else 0


def _take_replies(
    settings: MonitorSettings, state: AliasState, rows: ScoreRows, batch: Batch
) -> tuple[AliasState, list[Finding]]:
    findings: list[Finding] = []
    names = batch.descriptor_names
    if not rows.logged_ms:
        rows = replace(rows, logged_ms=[batch.time_ms] * len(rows))
    champion = [i for i, arm in enumerate(rows.arms) if arm == CHAMPION]
    for name, places in windows.groups(rows.versions, champion).items():
        version, dropped = _watched(settings, state, name, names)
        version, found = replies.take_replies(settings, version, rows.take(places), ends_turn=batch.ends_turn)
        version, late = labels.take_rest_of_file(settings, version, batch.time_ms // TURN_MS)
        state = _newest(settings, state, version)
        findings += [*dropped, *found, *late]
        state, found = _take_early(settings, state, name)
        findings += found
    counts = windows.count_replies(
        settings, state.windows, rows, lambda name, some: _estimate(settings, state, name, some, names)
    )
    newest = rows.versions[champion[-1]] if champion else state.champion
    return replace(state, champion=newest, windows=counts), findings


def _watched(
    settings: MonitorSettings, state: AliasState, name: str, names: list[str]
) -> tuple[VersionState, list[Finding]]:
    """Return the version as it is watched; one of other descriptors is given up with its alarms."""
    fresh, record = VersionState(version=name, names=names), state.watches.get(name)
    if record is None:
        return fresh, []
    if record.names == names:
        return restored(record), []
    last, chosen = ("", record.seen_ms), list(record.raised.values())
    return fresh, open_alarms.ended(settings, restored(record), chosen, last, "untested")[1]


def _take_labels(
    settings: MonitorSettings, state: AliasState, rows: ScoreRows, batch: Batch
) -> tuple[AliasState, list[Finding]]:
    """Labels wait until their turn is over: before, their order is not known."""
    fair = [i for i, loss in enumerate(rows.losses) if loss is not None and _may_judge(rows, i) and not _drawn(rows, i)]
    state = replace(state, windows=windows.count_labels(settings, state.windows, rows.take(fair)))
    turns = turns_of(rows, batch.time_ms)
    places = [i for i in range(len(rows)) if rows.arms[i] == CHAMPION]
    given = [*state.turn, *(label for i in places for label in _given(rows, i, turns[i]))]
    if not batch.ends_turn and len(given) < TURN_KEPT:
        return replace(state, turn=given), []
    state, findings = replace(state, turn=[]), list[Finding]()
    for name, chosen in windows.groups([label.version for label in given], range(len(given))).items():
        state, found = _test_labels(settings, state, name, [given[i] for i in chosen])
        findings += found
    return state, findings


def _take_early(settings: MonitorSettings, state: AliasState, name: str) -> tuple[AliasState, list[Finding]]:
    """Take labels once more that came before their events."""
    again = [label for label in state.early if label.version == name]
    if not again:
        return state, []
    rest = [label for label in state.early if label.version != name]
    return _test_labels(settings, replace(state, early=rest), name, again)


def _test_labels(
    settings: MonitorSettings, state: AliasState, name: str, given: list[Label]
) -> tuple[AliasState, list[Finding]]:
    record = state.watches.get(name)
    if record is None:
        return replace(state, early=[*state.early, *given][-EARLY_KEPT:]), []
    if record.reference is not None and not _serves(state, record):
        return _with(settings, state, labels.note_labels(settings, restored(record), given)), []
    version, findings, early = labels.take_labels(settings, restored(record), given)
    state = _with(settings, state, version)
    return replace(state, early=[*state.early, *early][-EARLY_KEPT:]), findings


def _retire(settings: MonitorSettings, state: AliasState) -> tuple[AliasState, list[Finding]]:
    """Close the alarms of versions that serve no longer; one that serves again may raise its alarms again."""
    findings: list[Finding] = []
    for record in state.watches.values():
        if record.raised and not _serves(state, record):
            last = "", state.watches[state.champion].seen_ms if state.champion in state.watches else record.seen_ms
            chosen = list(record.raised.values())
            gone, found = open_alarms.ended(settings, restored(record), chosen, last, "retired")
            state = _with(settings, state, gone)
            findings += found
    return state, findings


def _serves(state: AliasState, record: VersionRecord) -> bool:
    """Check whether it is the champion, or answered as such just before the champion's last reply."""
    if state.champion in ("", record.version):
        return True
    newest = state.watches.get(state.champion)
    return newest is not None and newest.seen_ms - record.seen_ms < HANDOVER_MS


def _with(settings: MonitorSettings, state: AliasState, version: VersionState) -> AliasState:
    """Return the state with this version in its place, its evidence brought up to date."""
    return replace(state, watches=state.watches | {version.version: recorded(with_evidence(settings, version))})


def _newest(settings: MonitorSettings, state: AliasState, version: VersionState) -> AliasState:
    """Return the state with this version as the newest; the versions that answered longest ago are forgotten."""
    others = {name: each for name, each in state.watches.items() if name != version.version}
    state = _with(settings, replace(state, watches=others), version)
    return replace(state, watches=dict(list(state.watches.items())[-settings.versions_kept :]))


def _estimate(
    settings: MonitorSettings, state: AliasState, name: str, rows: ScoreRows, names: list[str]
) -> calibration.Estimate:
    record = state.watches.get(name)
    if record is None or record.names != names or not rows.descriptors:
        return calibration.Estimate()
    version = restored(record)
    fitted = estimated_quality.calibrated(about(settings, version, "estimated_quality"), version.estimated_quality)
    if fitted is None:
        return calibration.Estimate()
    column = names.index(CONFIDENCE[-1])
    known = [row[column] for row, status in zip(rows.descriptors, rows.statuses, strict=True) if status == 200]
    return calibration.estimate(fitted, [value for value in known if value <= 0])


def _evidence(state: AliasState, name: str) -> dict[str, float]:
    record = state.watches.get(name)
    return {str(kind): value for kind, value in record.evidence.items()} if record else {}


def _gaps(settings: MonitorSettings, state: AliasState, name: str) -> list[Gap]:
    record = state.watches.get(name)
    return gaps.report(settings.fairness, record.fairness) if record else []


def _given(rows: ScoreRows, i: int, turn: int) -> Iterator[Label]:
    """Yield the label or the complaint of a row, and its ratings, each of which is a label of a source of its own."""
    ratings = rows.ratings[i] if rows.ratings else {}
    complaint = bool(rows.complaints and rows.complaints[i]) and not ratings
    if rows.losses[i] is not None or complaint:
        yield _label(rows, i, turn)
    for measure, loss in ratings.items():
        own = event_print(f"{measure} {rows.ids[i]}")
        origin = rated(measure, rows.origins[i])
        yield Label(rows.versions[i], rows.ids[i], own, rows.times_ms[i], loss, measure, turn, origin)


def _label(rows: ScoreRows, i: int, turn: int) -> Label:
    id = rows.ids[i]
    loss, metric = rows.losses[i] or 0.0, rows.metrics[i] if rows.metrics else ""
    known = Label(rows.versions[i], id, event_print(id), rows.times_ms[i], loss, metric, turn)
    if not rows.origins:
        return known
    fair = rows.losses[i] is not None and _may_judge(rows, i)
    complaint = not fair and bool(rows.complaints and rows.complaints[i])
    weight = rows.weights[i] if rows.weights else 1.0
    return replace(known, origin=rows.origins[i], judges=fair, complaint=complaint, weight=weight)


def _drawn(rows: ScoreRows, i: int) -> bool:
    return bool(rows.origins) and is_drawn(rows.origins[i])


def _may_judge(rows: ScoreRows, i: int) -> bool:
    return not rows.origins or may_judge(read(rows.origins[i]).selection)
