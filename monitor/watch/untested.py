"""What is not tested of a version, and why: the judge reports it once, and `homeostat status` whenever it is asked.

A test needs a reference that leaves room for harm. Where nearly all of its answers are wrong, or nearly all of them
carry a flag, its limit leaves next to nothing above it: such a test would find chance, or the labels of one person. So
each signal says what it cannot test (`monitor.signals.interface.Signal.untested`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from msgspec.structs import replace

from monitor.findings import Finding, Kind, NotTested
from monitor.settings import MonitorSettings
from monitor.signals.interface import MissingTest
from monitor.watch.open_alarms import place
from monitor.watch.version import VersionState, each_about

Subject = tuple[Kind, str]  # a kind of alarm, and what it would be about


def reasons(settings: MonitorSettings, version: VersionState) -> dict[Subject, MissingTest]:
    """Return why there is no test, by kind, in the order of `Kind`. Empty where all is tested, or where the reference
    is not complete."""
    if version.reference is None:
        return {}
    missing = {
        kind: signal.untested(settings, known, getattr(version, kind))
        for kind, signal, known in each_about(settings, version)
    }
    return {(kind, about): why for kind in get_args(Kind) for about, why in missing[kind].items()}


def found(settings: MonitorSettings, version: VersionState, time_ms: int) -> tuple[VersionState, list[Finding]]:
    """Report what the reference leaves no room to test, once each. Labels that are missing are asked for elsewhere."""
    reported, findings = list(version.alarms.untested), list[Finding]()
    for (kind, about), why in reasons(settings, version).items():
        if why.for_good and place(kind, about) not in reported:
            reported.append(place(kind, about))
            findings.append(
                NotTested(version=version.version, time_ms=time_ms, kind=kind, about=about, reason=why.reason)
            )
    if not findings:
        return version, []
    return replace(version, alarms=replace(version.alarms, untested=reported)), findings


def lines(found: Mapping[Subject, MissingTest]) -> list[str]:
    """Return lines for people; kinds that have the same reason share one.

    >>> few = MissingTest("no labels", for_good=False)
    >>> lines({("quality", ""): few, ("estimated_quality", ""): few})
    ['quality, estimated_quality: no labels']
    """
    by_reason: dict[str, list[str]] = {}
    for (kind, about), why in found.items():
        by_reason.setdefault(why.reason, []).append(f"{kind} ({about})" if about else kind)
    return [f"{', '.join(kinds)}: {reason}" for reason, kinds in by_reason.items()]
