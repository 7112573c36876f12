"""The worth of a policy's decisions, against the harm that the labels show afterwards.

found          the first alarm of harm that means this one: its evidence and the harm have time in common
asked          the first retraining that was asked for because of it
loss           that of what the harmed version answered from the onset until a retraining was asked for (until the
               harm's end where none was): its answers, times the mean loss of those of them that are labelled. Where
               labels say right or wrong, these are the wrong answers. What came after is left out: whether the
               retraining would have helped cannot be replayed
labels used    those that came in the same time
false page     an alarm of harm (labelled or estimated) that means none that the labels show
needless       a retraining asked for that means none
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from deploy.backtest.harms import HarmPeriod, Ints
from deploy.backtest.observed import Facts
from deploy.backtest.outcome import PolicyOutcome, RaisedAlarm, RequestedRetraining

HARM_ALARMS = ("quality", "estimated_quality")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of one harm with one policy. Delays are seconds since the onset; None: it did not come to it."""

    harm: HarmPeriod
    found: str | None  # the first alarm's kind
    found_after_s: float | None
    found_after_replies: int | None
    proven_after_s: float | None  # by labels
    asked_after_s: float | None
    asked_before: bool  # a retraining was asked for already when the harm began, and none because of it
    replies: int
    labelled: int
    labelled_loss: float  # the sum of the labels'
    loss: float | None  # estimated for all replies; None where none is labelled
    labels_used: int


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a policy. None: not known from the history."""

    alarms: dict[str, int]
    false_pages: int | None
    retrainings: int
    needless: int | None
    retraining_minutes: float | None
    labels_asked_times: int
    labels_asked: int
    labels_used: int
    found: int
    asked: int
    loss: float | None
    costs: list[Cost]


def measure(outcome: PolicyOutcome, facts: Facts, harms: Sequence[HarmPeriod], minutes: float | None) -> Measures:
    """Return the measures of one policy. `minutes`: the duration of a retraining."""
    costs = [cost(outcome, facts, harm) for harm in harms]
    labelled = any(len(labels.losses) for labels in facts.labels.values())
    pages = [alarm for alarm in outcome.alarms if alarm.kind in HARM_ALARMS]
    known = [each.loss for each in costs if each.loss is not None]
    return Measures(
        alarms=dict(Counter(alarm.kind for alarm in outcome.alarms)),
        false_pages=sum(not any(meant(page, harm) for harm in harms) for page in pages) if labelled else None,
        retrainings=len(outcome.retrainings),
        needless=sum(not any(meant(asked, harm) for harm in harms) for asked in outcome.retrainings)
        if labelled
        else None,
        retraining_minutes=None if minutes is None else minutes * len(outcome.retrainings),
        labels_asked_times=len(outcome.labels_wanted),
        labels_asked=sum(each.wanted for each in outcome.labels_wanted),
        labels_used=sum(each.labels_used for each in costs),
        found=sum(each.found is not None for each in costs),
        asked=sum(each.asked_after_s is not None for each in costs),
        loss=sum(known) if len(known) == len(costs) else None,
        costs=costs,
    )


def meant(each: RaisedAlarm | RequestedRetraining, harm: HarmPeriod) -> bool:
    """Check that an alarm's or a retraining's reason and the harm are of one version and have time in common."""
    since_ms = each.onset_ms if isinstance(each, RaisedAlarm) else each.since_ms
    return each.version == harm.version and since_ms <= harm.end_ms and each.time_ms >= harm.onset_ms


def cost(outcome: PolicyOutcome, facts: Facts, harm: HarmPeriod) -> Cost:
    """Return the cost of one harm."""
    pages = [alarm for alarm in outcome.alarms if alarm.kind in HARM_ALARMS and meant(alarm, harm)]
    proofs = [page for page in pages if page.kind == "quality"]
    asked = [each for each in outcome.retrainings if meant(each, harm)]
    before = any(each.version == harm.version and each.time_ms < harm.onset_ms for each in outcome.retrainings)
    until = min([harm.end_ms, *(each.time_ms for each in asked[:1])])
    labels, replies = facts.labels[harm.version], facts.replies_ms.get(harm.version, np.empty(0, dtype=np.int64))
    low, high = np.searchsorted(labels.times_ms, [harm.onset_ms, until + 1])
    served, labelled, loss = (
        _between(replies, harm.onset_ms, until),
        int(high - low),
        round(float(labels.losses[low:high].sum()), 4),
    )
    return Cost(
        harm=harm,
        found=pages[0].kind if pages else None,
        found_after_s=_after(harm, [page.raised_ms for page in pages]),
        found_after_replies=_between(replies, harm.onset_ms, pages[0].raised_ms) if pages else None,
        proven_after_s=_after(harm, [page.raised_ms for page in proofs]),
        asked_after_s=_after(harm, [each.time_ms for each in asked]),
        asked_before=before and not asked,
        replies=served,
        labelled=labelled,
        labelled_loss=loss,
        loss=served * loss / labelled if labelled else 0.0 if not served else None,
        labels_used=_between(facts.given_ms[harm.version], harm.onset_ms, until),
    )


def _between(times: Ints, first_ms: int, last_ms: int) -> int:
    low, high = np.searchsorted(times, [first_ms, max(last_ms + 1, first_ms)])
    return int(high - low)


def _after(harm: HarmPeriod, times: Sequence[int]) -> float | None:
    return max(0.0, (times[0] - harm.onset_ms) / 1_000) if times else None
