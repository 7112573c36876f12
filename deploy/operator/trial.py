"""How long a trial on complaints takes at this volume, or that complaints cannot decide."""

from __future__ import annotations

from deploy.show.times import duration
from monitor.settings import TrialSettings
from serving.rollout.trial import sessions_needed

FALL = 0.5  # of the complaints, that is to be proven: a candidate that mends the harm
DAY_S = 86_400.0


def plan(settings: TrialSettings, weight: float, a_day: float, complaints: float) -> str:
    """Return what a trial takes, in a sentence or two. `weight`: the canary's share. `a_day`: sessions, of one alias.
    `complaints`: the share of them with a complaint.

    >>> print(plan(TrialSettings(), 0.5, 4_000.0, 0.05))
    To prove that complaints fell by half, from 5.0% of the sessions, takes 4,931 sessions: 2.3 days at 4,000 a day.
    >>> print(plan(TrialSettings(), 0.5, 100.0, 0.05))
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
