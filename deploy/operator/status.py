"""The status of each alias: the route that serves it, what no replica proves, and its watch: reference, open alarms,
untested signals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table

from deploy.doctor.findings import Finding
from deploy.operator.alarms import kind, open_alarms
from deploy.show.times import clock
from monitor.metrics import spoken
from monitor.selection.sources import read
from monitor.settings import MonitorSettings, PolicySettings
from monitor.signals.labelled.judged_quality import agreement
from monitor.watch import untested
from monitor.watch.record import VersionRecord, restored
from streams.events import ReplicaAttested, RouteWritten
from streams.judge.memory import JudgeRecord
from streams.kinds import ProofOutcome

REMEDY = (
    "`homeostat labels wanted --audit ALIAS`, or --draw, lists replies whose labels prove something; `homeostat labels "
    "give` sends them"
)


def table(routes: Mapping[str, RouteWritten]) -> Table:
    """Draw the route of each alias as a line of a table."""
    columns = ("alias", "champion", "canary", "previous", "shadow", "generation", "paused")
    drawn = Table(*columns, box=None, header_style="bold")
    for alias, route in routes.items():
        canary = f"{route.canary} ({route.weight:.0%})" if route.canary else ""
        paused = "yes" if route.paused else ""
        others = (route.previous or "", route.shadow or "")
        drawn.add_row(alias, route.champion, canary, *others, str(route.generation), paused)
    return drawn


def observed(policy: PolicySettings) -> Iterator[str]:
    """Yield the line that only people act, where that is so."""
    if policy.observes:
        yield (
            "policy.mode is observe: alarms and verdicts are recorded; nothing is retrained, promoted or rolled back "
            "unless a person does it"
        )


def lines(settings: MonitorSettings, memories: Mapping[str, JudgeRecord]) -> Iterator[str]:
    """Yield the lines about the version that serves each alias."""
    for alias, memory in sorted(memories.items()):
        record = memory.judge.watches.get(memory.judge.champion)
        if record is not None:
            yield f"{alias}: {_stands(settings, record)}"
            if agrees := agreement(record.judged_quality):
                yield f"{alias}: {agrees} ({read(record.judged_quality.judge).source})"
            for alarm in open_alarms(memory):
                since = f"{kind(alarm)} since {clock(alarm.onset_ms)}"
                yield f"{alias}: open: {since}: homeostat alarms show {alarm.id[:8]}"
            if record.strays:
                yield f"{alias}: passed over: {_strays(record)}"
            for why in untested.lines(untested.reasons(settings, restored(record))):
                yield f"{alias}: not tested: {why}"


def without_proof(attestations: Iterable[ReplicaAttested]) -> Iterator[str]:
    """Yield a line for each replica's version that did not give its proof of effect, and for each that has none."""
    known = list(attestations)
    for each in known:
        for version, shown in each.proofs.items():
            if shown.outcome == ProofOutcome.FAILED:
                served = "served all the same" if version in each.versions else "not served"
                yield f"{each.replica}: {version} is {served}: {shown.reason}"
    without = {name: shown for each in known for name, shown in each.proofs.items()}
    for version, shown in sorted(without.items()):
        if shown.outcome == ProofOutcome.NONE:
            yield f"{version} has no proof of effect, fingerprints decide: {shown.reason}"


def _strays(record: VersionRecord) -> str:
    """Name labels that are compared with nothing, because another metric made most of the others."""
    counts = ", ".join(f"{count} by {spoken(metric)}" for metric, count in record.strays.items())
    return f"labels of another metric than {spoken(record.metric or '')}: {counts}"


def unproven(settings: MonitorSettings, memories: Mapping[str, JudgeRecord]) -> Iterator[Finding]:
    """Yield a finding for each alias whose labels prove no harm, or less than they could, with the reason."""
    for alias, memory in sorted(memories.items()):
        record = memory.judge.watches.get(memory.judge.champion)
        missing = untested.reasons(settings, restored(record)) if record is not None else {}
        for (about, _), why in missing.items():
            if about == "quality":
                yield Finding("labels", False, f"{alias}: {why.reason}", REMEDY, needed=False)


def _stands(settings: MonitorSettings, record: VersionRecord) -> str:
    if record.reference is not None:
        return f"{record.version} is watched"
    gathered = f"{len(record.rows)} of {settings.reference_events} events"
    return f"{record.version} is not watched yet: its reference has {gathered}"
