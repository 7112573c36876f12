"""Replies whose labels are awaited, past the tests of their sources (`monitor.selection.ordered`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from monitor.describe import people
from monitor.describe.fingerprint import event_print
from monitor.describe.people import person, together
from monitor.detectors.mixture import Reached
from monitor.detectors.risk import ProvenHarm
from monitor.findings import Alarm
from monitor.rows import TURN_MS, turns_of
from monitor.selection import ordered
from monitor.selection.cohort import LOOKED_AT
from monitor.selection.neighbours import UNKNOWN
from monitor.selection.ordered_labels import (
    LEARNED,
    Arrived,
    AwaitedReply,
    OrderedChange,
    OrderedLabels,
    OrderedRules,
)
from monitor.selection.sources import IN_ORDER, JUDGE, is_drawn, judge_of, may_judge, parted, read
from monitor.settings import MonitorSettings
from monitor.signals import wording
from monitor.signals.interface import About, Baseline, GivenLabel, MissingTest, ModelScores, Replies
from monitor.signals.labelled.proof import alarm_of

NO_FAIR = (
    "all labels so far are volunteered: those who give them choose after they have seen the answer, so no harm can be "
    "proven. Set gateway.audit_share, or declare a source in [labels.sources]"
)


WAITS = "{} of {} {} that say what is usual have come from the source {}"
THIN = 0.25  # of an audit that is missing: a gate is undecided at a third


def rules(settings: MonitorSettings, source: str) -> OrderedRules:
    """Return how labels of this source are judged."""
    selection = read(source).selection
    return OrderedRules(
        arl=settings.judged_arl if selection == JUDGE else settings.label_arl,
        tolerance=settings.tolerance,
        confidence=settings.baseline_confidence,
        least=max(settings.min_reference_labels, LEARNED),
        wait_ms=settings.late_labels_s * 1_000,
        clear_after=settings.alarm_clear_events,
        complete=selection == "complete",
        audit=selection == "audit",
    )


def named(rows: Replies, known: Mapping[str, OrderedLabels]) -> list[str]:
    """Return the sources that await labels of some of these replies, or of earlier ones. A judge model gives none."""
    fresh = {source for each in rows.rows.cohorts for source in each}
    return sorted({*known, *(source for source in fresh if may_judge(read(source).selection))})


def replied(
    settings: MonitorSettings, source: str, known: OrderedLabels, rows: Replies, others: float
) -> tuple[OrderedLabels, list[OrderedChange]]:
    """Take replies, and judge those that are old enough; `others`: what the other sources prove."""
    asked, turns, cohort = rules(settings, source), turns_of(rows.rows, 0), parted(source)[1]
    persons = [person(client) for client in rows.rows.clients]
    order = together([(turns[k], who if who != people.UNKNOWN else -1 - k) for k, who in enumerate(persons)])
    replies = [
        AwaitedReply(
            rows.prints[k],
            rows.moments[k],
            rows.prints[step[0]],
            turns[k] * TURN_MS,
            1.0 - rows.events[k].chance if rows.events[k].chance >= 0 else UNKNOWN,
            bool(rows.rows.cohorts) and cohort in rows.rows.cohorts[k],
            judge_of(rows.rows.cohorts[k]) if rows.rows.cohorts else "",
        )
        for step in order
        for k in step
    ]
    known = ordered.served(known, replies, audit=asked.audit)
    return ordered.turned(asked, known, max(turns, default=0) * TURN_MS, lambda: others)


def given(known: OrderedLabels, labels: Sequence[GivenLabel]) -> OrderedLabels:
    """Take labels of the source."""
    losses = {event_print(each.event.id): Arrived(each.event.loss, each.given_ms) for each in labels}
    return ordered.given(known, losses)


def estimated(known: Mapping[str, OrderedLabels], rows: ModelScores) -> dict[str, OrderedLabels]:
    """Take a judge model's losses as estimates."""
    losses = {event_print(each.event.id): each.event.loss for each in rows.given}
    return {source: ordered.estimated(each, rows.source, losses) for source, each in known.items()}


def evidence(settings: MonitorSettings, known: Mapping[str, OrderedLabels]) -> float:
    """Return the sum of the sources' statistics over their thresholds."""
    return sum(ordered.evidence(rules(settings, source), each) for source, each in known.items())


def proven(settings: MonitorSettings, about: About, source: str, known: OrderedLabels, found: OrderedChange) -> Alarm:
    """Return the alarm. The labels since the onset are those among the last ones that are remembered."""
    assert isinstance(found.change, Reached)
    since = [event for event in about.tested if event.time_ms >= found.change.since[1]]
    baseline = Baseline(
        known.learned_labels,
        round(known.usual * known.learned_labels, 4),
        known.limit,
        known.block,
        known.inflation,
        True,
        known.graded,
    )
    harm = ProvenHarm(
        found.change.step,
        found.change.statistic,
        found.change.since,
        f"risk above {known.limit:g}",
        count=len(since),
        losses=sum(event.loss for event in since),
    )
    threshold = ordered.tester(rules(settings, source), known).arl
    return alarm_of(replace(about, baseline=baseline), source, threshold, harm, found.last, _missing(known))


def thin(settings: MonitorSettings, known: Mapping[str, OrderedLabels]) -> dict[str, MissingTest]:
    """Return why sources prove less than they could, or nothing, by source: labels that do not come."""
    found = {source: _thin(settings, source, each) for source, each in known.items()}
    return {source: MissingTest(reason, for_good=False) for source, reason in found.items() if reason}


def lacking(settings: MonitorSettings, known: Mapping[str, OrderedLabels]) -> int:
    """Return how many labels of the last replies the sources lack that are too thin."""
    return sum(
        math.ceil(ordered.missing_share(each) * min(each.cohort.seen, LOOKED_AT))
        for source, each in known.items()
        if _thin(settings, source, each)
    )


def few(settings: MonitorSettings, about: About, known: Mapping[str, OrderedLabels], least: int) -> str:
    """Return why nothing is tested yet; `least`: labels of drawn replies that say what is usual."""
    rated = [(name, each) for name, each in about.baselines.items() if parted(name)[0]]
    reasons = [_unknown(name, each) for name, each in rated if read(name).selection not in IN_ORDER]
    reasons += [_waits(settings, source, each) for source, each in known.items()]
    drawn = {read(name).source: each.labelled for name, each in about.baselines.items() if is_drawn(name)}
    reasons += [WAITS.format(count, least, "labels", source) for source, count in drawn.items()]
    if reasons:
        return "; ".join(reasons)
    if about.volunteered and not about.baseline.labelled:
        return NO_FAIR
    labelled = about.baseline.labelled
    return f"{labelled} answers of the reference are labelled, {settings.min_reference_labels} are needed"


def _waits(settings: MonitorSettings, source: str, known: OrderedLabels) -> str:
    asked, labels = rules(settings, source), sum(count for count, *_ in known.learned)
    share, given, name = 1.0 - ordered.missing_share(known), wording.given(parted(source)[0]), read(source).source
    if known.withdrawn or (asked.complete and known.cohort.seen and labels >= asked.least):
        return _incomplete(source, share)
    return WAITS.format(labels, asked.least, given, name)


def _incomplete(source: str, share: float) -> str:
    gives = "rates" if parted(source)[0] else "labels"
    return f"{read(source).source} is declared complete, and {gives} {share:.0%} of its replies: 95% are needed"


def _unknown(source: str, known: Baseline) -> str:
    """Return why ratings of a source are not tested."""
    given, name = wording.given(parted(source)[0]), read(source).source
    if known.enough:
        return f"{known.loss:g} of {known.labelled} {given} of the source {name} are bad: that leaves no room for worse"
    return f"{known.labelled} {given} of the source {name} do not yet say what is usual"


def _thin(settings: MonitorSettings, source: str, known: OrderedLabels) -> str:
    """Return in words that labels of the source do not come; empty where enough do."""
    missing = ordered.missing_share(known)
    if known.withdrawn:
        return _incomplete(source, 1.0 - missing)
    if rules(settings, source).audit and known.cohort.seen >= LOOKED_AT // 2 and missing >= THIN:
        what = parted(source)[0] or "label"
        return f"{missing:.0%} of the audited replies have no {what}, and count against harm: it proves little"
    return ""


def _missing(known: OrderedLabels) -> str:
    share = ordered.missing_share(known)
    if share < 0.005:
        return ""
    return f"; {share:.0%} of the replies have none, and count against it"
