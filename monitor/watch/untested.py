"""What is not tested of a version, and why: said once by the judge, and whenever `homeostat status` asks.

A test needs a reference that leaves room for harm. Where nearly all of its answers are wrong, or nearly all of them
carry a flag, its limit leaves next to nothing above it: what such a test finds is chance, or somebody's labels."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from monitor.findings import Finding, Kind, NotTested
from monitor.settings import MonitorSettings
from monitor.watch.version import Baseline, Watch, baseline


def reasons(settings: MonitorSettings, watch: Watch) -> dict[tuple[Kind, str], str]:
    """Why there is no test of a kind, or of a flag (kind and what it is about). Empty where all is tested, or where
    the reference is not complete."""
    if watch.reference is None:
        return {}
    known = baseline(settings, watch)
    found: dict[tuple[Kind, str], str] = {}
    if known.limit is None:
        why = _without_room(known) if known.enough else _too_few(settings, known)
        found[("quality", "")] = why
        found[("estimated_quality", "")] = why
    elif watch.trust.lost:
        found[("estimated_quality", "")] = "labels refuted what confidence promises"
    for flag in watch.safety.left_out:
        found[("safety", flag.name)] = f"{flag.before} answers of the reference carry it: there is no room above that"
    return found


def told(settings: MonitorSettings, watch: Watch, time_ms: int) -> tuple[Watch, list[Finding]]:
    """What the reference leaves no room to test, once each."""
    known = baseline(settings, watch)
    found = reasons(settings, watch) if known.enough or watch.safety.left_out else {}
    findings: list[Finding] = []
    said = list(watch.untested)
    for (kind, about), why in found.items():
        if _for_good(known, kind) and _name(kind, about) not in said:
            said.append(_name(kind, about))
            findings.append(NotTested(version=watch.version, time_ms=time_ms, kind=kind, about=about, reason=why))
    return (replace(watch, untested=said), findings) if findings else (watch, [])


def words(found: Mapping[tuple[Kind, str], str]) -> list[str]:
    """For people, one line each; what has the same reason is one.

    >>> words({("quality", ""): "no labels", ("estimated_quality", ""): "no labels"})
    ['quality, estimated_quality: no labels']
    """
    by_reason: dict[str, list[str]] = {}
    for (kind, about), why in found.items():
        by_reason.setdefault(why, []).append(f"{kind} ({about})" if about else kind)
    return [f"{', '.join(kinds)}: {why}" for why, kinds in by_reason.items()]


def _for_good(known: Baseline, kind: Kind) -> bool:
    """Labels that are missing are asked for elsewhere, an estimate that was refuted is told of there."""
    return kind == "safety" or (known.limit is None and known.enough)


def _without_room(known: Baseline) -> str:
    return (
        f"{known.errors} of the reference's {known.labelled} labels say wrong: there is no room above that to prove "
        "harm in. See whether labels and metric fit the answers; then `homeostat alarms accept` begins a new reference"
    )


def _too_few(settings: MonitorSettings, known: Baseline) -> str:
    return f"{known.labelled} answers of the reference are labelled, {settings.min_reference_labels} are needed"


def _name(kind: Kind, about: str) -> str:
    return f"{kind}/{about}" if about else kind
