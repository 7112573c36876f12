"""Rules about open alarms: a page stays while the alarm is open."""

from __future__ import annotations

from dashboards.promql import alarm_harm, alarm_onset, alarm_open
from dashboards.rules.rule import SHARE, SUBJECT, VERSION, Figure, Rule, Severity


def _alarm(
    kind: str, title: str, severity: Severity, summary: str, do: str, uid: str = "", by: tuple[str, ...] = VERSION
) -> Rule:
    """Return the rule of one kind of alarm. `by`: the labels that distinguish alarms of the kind."""
    named = ", ".join(by)
    shown = Figure(alarm_harm(kind, named), SHARE)
    onset, uid = alarm_onset(kind, named), f"homeostat-{uid or kind}"
    return Rule(uid, title, alarm_open(kind, named), by, severity, summary, do, amount=shown, onset=onset)


ALARMS = (
    _alarm(
        "quality",
        "A model is getting worse",
        "critical",
        "<alias> <version>: labels prove that it is worse than it was; their mean loss (wrong answers) is <amount>.",
        "A retraining is asked for unless the alias is paused, rests or is out of budget. To stop all automatic steps: "
        "`homeostat pause <alias>`. To serve the version before: `homeostat rollback <alias>`.",
        uid="harm",
    ),
    _alarm(
        "safety",
        "Answers cross a line",
        "critical",
        "<alias> <version> gives answers with private data, abuse, refusals or what policy forbids more often than it "
        "did (<about>); <amount> of the answers.",
        "`homeostat alarms list` says more. Where this version is the cause: `homeostat rollback <alias>`.",
        by=SUBJECT,
    ),
    _alarm(
        "fairness",
        "A group is served worse",
        "warning",
        "<alias> <version> serves one group of its clients (<about>) worse than the rest, by <amount>.",
        "`homeostat alarms list` says in what. Where this version is the cause: `homeostat rollback <alias>`.",
        by=SUBJECT,
    ),
    _alarm(
        "estimated_quality",
        "A model may be getting worse",
        "warning",
        "<alias> <version>: its own confidence lets its mean loss (wrong answers) be <amount>; labels would tell.",
        "`homeostat labels wanted <alias>` lists the replies to label first. To serve the version before: "
        "`homeostat rollback <alias>`.",
        uid="estimated",
    ),
    _alarm(
        "judged_quality",
        "A judge model scores answers lower",
        "warning",
        "<alias> <version>: the judge model's mean loss is <amount>, more than it was; labels would tell.",
        "It proves no harm alone. `homeostat labels wanted <alias>` lists the replies to label first; `homeostat "
        "status` says how the judge agrees with people. To serve the version before: `homeostat rollback <alias>`.",
        uid="judged",
    ),
    _alarm(
        "complaints",
        "Clients complain more",
        "warning",
        "<alias> <version>: clients complain about <amount> of the replies to keys that complain, more than they did.",
        "Complaints are volunteered and prove no harm. `homeostat labels wanted --audit <alias>` lists replies whose "
        "labels would. To serve the version before: `homeostat rollback <alias>`.",
    ),
    _alarm(
        "latency",
        "Replies are slow",
        "warning",
        "<alias> <version> breaks its latency promise: <amount> of its replies are too slow.",
        "Look at replicas, lengths and requests under way. Where this version is the cause: "
        "`homeostat rollback <alias>`.",
    ),
)
