"""What is not tested of a version, and why: the judge reports it once, and `homeostat status` whenever it is asked.

A test needs a reference that leaves room for harm. Where nearly all of its answers are wrong, or nearly all of them
carry a flag, its limit leaves next to nothing above it: such a test would find chance, or the labels of one person."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from monitor.findings import Finding, Kind, NotTested
from monitor.settings import MonitorSettings
from monitor.signals.interface import Baseline
from monitor.watch.open_alarms import place
from monitor.watch.version import VersionState, baseline


def reasons(settings: MonitorSettings, version: VersionState) -> dict[tuple[Kind, str], str]:
    """Return why there is no test of a kind, or of a flag (kind and what it is about). Empty where all is tested, or
    where the reference is not complete."""
    if version.reference is None:
        return {}
    known = baseline(settings, version)
    found: dict[tuple[Kind, str], str] = {}
    if known.limit is None:
        why = _without_room(known) if known.enough else _too_few(settings, known)
        found[("quality", "")] = why
        found[("estimated_quality", "")] = why
    elif version.estimated_quality.trust.lost:
        found[("estimated_quality", "")] = "labels refuted what confidence promises"
    for flag in version.safety.left_out:
        found[("safety", flag.name)] = f"{flag.before} answers of the reference carry it: there is no room above that"
    return found


def found(settings: MonitorSettings, version: VersionState, time_ms: int) -> tuple[VersionState, list[Finding]]:
    """Report what the reference leaves no room to test, once each."""
    known, alarms = baseline(settings, version), version.alarms
    missing = reasons(settings, version) if known.enough or version.safety.left_out else {}
    findings: list[Finding] = []
    reported = list(alarms.untested)
    for (kind, about), why in missing.items():
        if _for_good(known, kind) and place(kind, about) not in reported:
            reported.append(place(kind, about))
            findings.append(NotTested(version=version.version, time_ms=time_ms, kind=kind, about=about, reason=why))
    return (replace(version, alarms=replace(alarms, untested=reported)), findings) if findings else (version, [])


def lines(found: Mapping[tuple[Kind, str], str]) -> list[str]:
    """Return lines for people; kinds that have the same reason share one.

    >>> lines({("quality", ""): "no labels", ("estimated_quality", ""): "no labels"})
    ['quality, estimated_quality: no labels']
    """
    by_reason: dict[str, list[str]] = {}
    for (kind, about), why in found.items():
        by_reason.setdefault(why, []).append(f"{kind} ({about})" if about else kind)
    return [f"{', '.join(kinds)}: {why}" for why, kinds in by_reason.items()]


def _for_good(known: Baseline, kind: Kind) -> bool:
    """Check that more labels would not help: missing ones are asked for elsewhere, and so is a refuted estimate."""
    return kind == "safety" or (known.limit is None and known.enough)


def _without_room(known: Baseline) -> str:
    return (
        f"{known.errors} of the reference's {known.labelled} labels say wrong: there is no room above that to prove "
        "harm in. See whether labels and metric fit the answers; then `homeostat alarms accept` begins a new reference"
    )


def _too_few(settings: MonitorSettings, known: Baseline) -> str:
    return f"{known.labelled} answers of the reference are labelled, {settings.min_reference_labels} are needed"
