"""The judge of an alias: rows in, findings out. Pure; what happens to the findings is the caller's business.

`update` drops what it has already seen (a watermark for each source and partition), so a record processed twice
changes nothing. How rows are cut into batches changes no alarm.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from monitor import tally
from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.fingerprint import event_print
from monitor.findings import Finding, Kind
from monitor.operator_answer import Answer
from monitor.reference.frozen import scorer
from monitor.rows import TURN_MS, ScoreRows, turns_of
from monitor.settings import MonitorSettings
from monitor.signals import calibration, gaps
from monitor.signals.gaps import Gap
from monitor.tally import Tally
from monitor.watch import labels, open_alarms
from monitor.watch import replies as served
from monitor.watch.version import Baseline, Label, Raised, Watch, baseline, calibrated, with_evidence
from monitor.windows import Head, passed_ms

EDITION = 1  # of `update` and `answer`: raise it with whatever makes them find something else in the same inputs
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
    watches: dict[str, Watch] = {}  # by version; the one seen last is last
    windows: Tally = Tally()
    early: list[Label] = []  # labels that came before their event
    turn: list[Label] = []  # labels of the turn that is not over


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How a version stands."""

    champion: bool
    reference_events: int
    watching: bool  # its reference is complete
    reference_labels: int
    tested_labels: int
    fresh_labels: int  # since the onset of the open quality alarm
    raised: dict[str, Raised]
    evidence: dict[Kind, float]
    block: int
    estimates_trusted: bool
    unwatched: list[str]  # what swings with day or week, so that no drift of it is looked for


def start(alias: str) -> AliasState:
    """Nothing seen."""
    return AliasState(alias=alias)


def update(settings: MonitorSettings, state: AliasState, batch: Batch) -> tuple[AliasState, list[Finding]]:
    """Takes one batch; the state and findings depend on nothing but the arguments."""
    name = f"{batch.source}/{batch.partition}"
    head = state.heads.get(name, Head())
    rows = batch.rows.after(head.next_offset)
    newest = min(max(rows.times_ms, default=0), batch.time_ms + settings.grace_s * 1_000)
    head = Head(max(head.next_offset, batch.last_offset + 1), max(head.event_ms, newest), batch.time_ms)
    state = replace(state, heads=state.heads | {name: head})
    if batch.source == "inference":
        state, findings = _served(settings, state, rows, batch)
    else:
        state, findings = _labelled(settings, state, rows, batch)
    state, gone = _retired(settings, state)
    findings += gone
    passed = passed_ms(settings, state.heads)
    counts, closed = tally.close(
        settings,
        state.windows,
        passed,
        lambda version: _evidence(state, version),
        lambda version: _gaps(settings, state, version),
    )
    return replace(state, windows=counts), [*findings, *closed]


def answer(settings: MonitorSettings, state: AliasState, said: Answer) -> tuple[AliasState, list[Finding]]:
    """Takes an operator's word; of a version that is not under watch it changes nothing."""
    watch = state.watches.get(said.version)
    if watch is None:
        return state, []
    change = open_alarms.accepted if said.verb == "accept" else open_alarms.cleared
    watch, findings = change(settings, watch, said)
    return replace(state, watches=state.watches | {said.version: with_evidence(settings, watch)}), findings


def progress(state: AliasState) -> dict[str, Progress]:
    """How each version under watch stands."""
    return {version: _progress(state, watch) for version, watch in state.watches.items()}


def fresh_labels(state: AliasState, version: str) -> int:
    """Labels since the onset of the version's open quality alarm; 0 without one."""
    return labels.since_onset(state.watches[version]) if version in state.watches else 0


def known_baseline(settings: MonitorSettings, state: AliasState, version: str) -> Baseline:
    """What the labels of a version's reference say."""
    watch = state.watches.get(version)
    return baseline(settings, watch) if watch else Baseline(0, 0, None)


def _progress(state: AliasState, watch: Watch) -> Progress:
    ready = watch.reference
    return Progress(
        champion=watch.version == state.champion,
        reference_events=len(ready.rows if ready else watch.rows),
        watching=ready is not None,
        reference_labels=sum(label >= 0 for label in watch.labels) + len(watch.adopted),
        tested_labels=watch.quality.count,
        fresh_labels=labels.since_onset(watch),
        raised=watch.raised,
        evidence=watch.evidence,
        block=scorer(ready).block if ready else 1,
        estimates_trusted=not watch.trust.lost,
        unwatched=ready.swinging if ready else [],
    )


def _served(
    settings: MonitorSettings, state: AliasState, rows: ScoreRows, batch: Batch
) -> tuple[AliasState, list[Finding]]:
    findings: list[Finding] = []
    names = batch.descriptor_names
    if not rows.logged_ms:
        rows = replace(rows, logged_ms=[batch.time_ms] * len(rows))
    champion = [i for i, arm in enumerate(rows.arms) if arm == CHAMPION]
    for version, places in tally.groups(rows.versions, champion).items():
        watch, dropped = _watched(settings, state, version, names)
        watch, found = served.serve(settings, watch, rows.take(places), ends_turn=batch.ends_turn)
        watch, late = labels.rest(settings, watch, batch.time_ms // TURN_MS)
        state = _kept(settings, state, with_evidence(settings, watch))
        findings += [*dropped, *found, *late]
        state, found = _early(settings, state, version)
        findings += found
    counts = tally.served(settings, state.windows, rows, lambda version, some: _estimate(state, version, some, names))
    newest = rows.versions[champion[-1]] if champion else state.champion
    return replace(state, champion=newest, windows=counts), findings


def _watched(
    settings: MonitorSettings, state: AliasState, version: str, names: list[str]
) -> tuple[Watch, list[Finding]]:
    """The version's watch; one of other descriptors is given up with its alarms."""
    fresh, known = Watch(version=version, names=names), state.watches.get(version)
    if known is None:
        return fresh, []
    if known.names == names:
        return known, []
    return fresh, open_alarms.ended(settings, known, list(known.raised.values()), ("", known.seen_ms), "untested")[1]


def _labelled(
    settings: MonitorSettings, state: AliasState, rows: ScoreRows, batch: Batch
) -> tuple[AliasState, list[Finding]]:
    """Labels wait until their turn is over: before, nobody knows in which order they belong."""
    places = [i for i, correct in enumerate(rows.correct) if correct is not None]
    state = replace(state, windows=tally.labelled(settings, state.windows, rows.take(places)))
    turns = turns_of(rows, batch.time_ms)
    given = [*state.turn, *(_label(rows, i, turns[i]) for i in places if rows.arms[i] == CHAMPION)]
    if not batch.ends_turn and len(given) < TURN_KEPT:
        return replace(state, turn=given), []
    state, findings = replace(state, turn=[]), list[Finding]()
    for version, chosen in tally.groups([label.version for label in given], range(len(given))).items():
        state, found = _heard(settings, state, version, [given[i] for i in chosen])
        findings += found
    return state, findings


def _early(settings: MonitorSettings, state: AliasState, version: str) -> tuple[AliasState, list[Finding]]:
    """Labels that came before their events are heard again."""
    again = [label for label in state.early if label.version == version]
    if not again:
        return state, []
    rest = [label for label in state.early if label.version != version]
    return _heard(settings, replace(state, early=rest), version, again)


def _heard(
    settings: MonitorSettings, state: AliasState, version: str, given: list[Label]
) -> tuple[AliasState, list[Finding]]:
    watch = state.watches.get(version)
    if watch is None:
        return replace(state, early=[*state.early, *given][-EARLY_KEPT:]), []
    if watch.reference is not None and not _serves(state, watch):
        noted = with_evidence(settings, labels.note(settings, watch, given))
        return replace(state, watches=state.watches | {version: noted}), []
    watch, findings, early = labels.hear(settings, watch, given)
    watches = state.watches | {version: with_evidence(settings, watch)}
    return replace(state, watches=watches, early=[*state.early, *early][-EARLY_KEPT:]), findings


def _retired(settings: MonitorSettings, state: AliasState) -> tuple[AliasState, list[Finding]]:
    """Alarms of versions that serve no longer are over; one that serves again may raise its alarms again."""
    findings: list[Finding] = []
    for version, watch in state.watches.items():
        if watch.raised and not _serves(state, watch):
            last = "", state.watches[state.champion].seen_ms if state.champion in state.watches else watch.seen_ms
            gone, found = open_alarms.ended(settings, watch, list(watch.raised.values()), last, "retired")
            state = replace(state, watches=state.watches | {version: with_evidence(settings, gone)})
            findings += found
    return state, findings


def _serves(state: AliasState, watch: Watch) -> bool:
    """Whether it is the champion, or answered as such just before the champion's last reply."""
    if state.champion in ("", watch.version):
        return True
    newest = state.watches.get(state.champion)
    return newest is not None and newest.seen_ms - watch.seen_ms < HANDOVER_MS


def _kept(settings: MonitorSettings, state: AliasState, watch: Watch) -> AliasState:
    """The state with this watch as the newest; the versions seen longest ago are forgotten."""
    others = [each for version, each in state.watches.items() if version != watch.version]
    kept = [*others, watch][-settings.versions_kept :]
    return replace(state, watches={each.version: each for each in kept})


def _estimate(state: AliasState, version: str, rows: ScoreRows, names: list[str]) -> calibration.Estimate:
    watch = state.watches.get(version)
    fitted = calibrated(watch) if watch and watch.names == names else None
    if fitted is None or not rows.descriptors:
        return calibration.Estimate()
    column = names.index(CONFIDENCE[-1])
    known = [row[column] for row, status in zip(rows.descriptors, rows.statuses, strict=True) if status == 200]
    return calibration.estimate(fitted, [value for value in known if value <= 0])


def _evidence(state: AliasState, version: str) -> dict[str, float]:
    watch = state.watches.get(version)
    return {str(kind): value for kind, value in watch.evidence.items()} if watch else {}


def _gaps(settings: MonitorSettings, state: AliasState, version: str) -> list[Gap]:
    watch = state.watches.get(version)
    return gaps.report(settings.fairness, watch.fairness) if watch else []


def _label(rows: ScoreRows, i: int, turn: int) -> Label:
    id = rows.ids[i]
    return Label(rows.versions[i], id, event_print(id), bool(rows.correct[i]), rows.times_ms[i], turn)
