"""How long complaints take to show that clients complain more, or less of a candidate on trial; or that they cannot at
this volume."""

from __future__ import annotations

import math

from deploy.show.times import duration
from monitor import budget
from monitor.detectors.risk import upper_bound
from monitor.selection.complaints import ENOUGH, FEWEST, MOST, TIMES
from monitor.settings import MonitorSettings, TrialSettings
from monitor.signals.labelled.complaints import rules
from serving.rollout.trial import sessions_needed

DAY_S = 86_400.0
FALL = 0.5  # of the complaints, that a trial is to prove: a candidate that mends the harm
LONGEST_S = 30 * DAY_S  # to find five times as many: what takes longer is found in other ways before


def plan(settings: MonitorSettings, a_day: float, rate: float) -> str:
    """Return what complaints find, in a sentence or two. `a_day`: replies of keys that complain, of one alias. `rate`:
    the share of them that is complained of.

    >>> print(plan(MonitorSettings(), 20_000.0, 0.01))
    Complaints of 1.0% of the replies: what is usual is known after 10,000 replies (12 h 0 min), twice as many are \
found within 3,215 more (3 h 51 min), five times as many within 275 more (19 min 46 s).
    >>> print(plan(MonitorSettings(), 200.0, 0.001))
    Complaints of 0.1% of the replies: what is usual is known after 10,000 replies (50 days), twice as many are not \
found, five times as many within 3,574 more (17.9 days).
    Complaints cannot decide at this volume.
    """
    asked = rules(settings)
    learned = math.ceil(max(asked.least, min(MOST, ENOUGH / rate), FEWEST / rate))
    limit = upper_bound(math.ceil(rate * learned), learned, asked.confidence)
    excesses = [limit * (times - 1.0) for times in TIMES]
    twice, fivefold = (budget.delay(asked.arl, limit, min(1.0, times * rate), excesses) for times in (2.0, 5.0))
    found = (
        f"Complaints of {rate:.1%} of the replies: what is usual is known after {learned:,} replies "
        f"({_time(learned, a_day)}), twice as many are {_found(twice, a_day)}, five times as many "
        f"{_found(fivefold, a_day).removeprefix('found ')}."
    )
    enough = (learned + fivefold) / a_day * DAY_S <= LONGEST_S
    return found if enough else f"{found}\nComplaints cannot decide at this volume."


def trial(settings: TrialSettings, weight: float, a_day: float, complaints: float) -> str:
    """Return what a trial takes, in a sentence or two. `weight`: the canary's share. `a_day`: sessions, of one alias.
    `complaints`: the share of them with a complaint.

    >>> print(trial(TrialSettings(), 0.5, 4_000.0, 0.05))
    To prove that complaints fell by half, from 5.0% of the sessions, takes 4,931 sessions: 2.3 days at 4,000 a day.
    >>> print(trial(TrialSettings(), 0.5, 100.0, 0.05))
    To prove that complaints fell by half, from 5.0% of the sessions, takes 4,931 sessions: 50.3 days at 100 a day.
    A trial lasts 7 days at most (policy.trial.longest_s): complaints cannot decide at this volume.
    """
    needed = sessions_needed(complaints, FALL, settings.margin, settings.alpha, weight)
    asked = f"To prove that complaints fell by half, from {complaints:.1%} of the sessions,"
    if needed is None:
        return f"{asked} no number of sessions is enough: they must fall by more than {settings.margin:.0%}."
    takes_s = needed / a_day * DAY_S + settings.session_s + settings.wait_s
    takes = f"{asked} takes {needed:,} sessions: {duration(takes_s)} at {a_day:,.0f} a day."
    if takes_s <= settings.longest_s:
        return takes
    longest = f"A trial lasts {duration(settings.longest_s)} at most (policy.trial.longest_s)"
    return f"{takes}\n{longest}: complaints cannot decide at this volume."


def _found(replies: float, a_day: float) -> str:
    if math.isinf(replies):
        return "not found"
    return f"found within {math.ceil(replies):,} more ({_time(replies, a_day)})"


def _time(replies: float, a_day: float) -> str:
    return duration(replies / a_day * DAY_S)
