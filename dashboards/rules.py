"""Who is woken up by what: one table, from which Grafana's and Prometheus' rules are made.

Texts name a label as `<alias>`, the figure that matters as `<amount>`, and its beginning as `<since>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dashboards.promql import alarm_harm, alarm_onset, alarm_open, burning, first_seen, newly

Severity = Literal["critical", "warning"]
JOBS = ("gateway", "controller", "worker", "trainer")
BURN = 14.4 * 0.01  # of an SLO of 99 %: a month's error budget within two days
SPOOL_BYTES = 64 * 1_048_576
UP = 'up{job=~"homeostat-.*"}'
ABSENT = tuple(f'absent(up{{job="homeostat-{job}"}})' for job in JOBS)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in a rule's text: of the series with the rule's labels in `expression`; without one, the rule's own
    value. `form`: the template function that writes it."""

    expression: str = ""
    form: str = "humanize"


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires while `expression` is above zero for some series, for at least `for_`. `by`: the labels of its series."""

    uid: str
    title: str
    expression: str
    by: tuple[str, ...]
    severity: Severity
    summary: str
    do: str
    for_: str = "0s"
    amount: Figure = Figure()
    onset: str = ""  # an expression; without one, when the rule's own was first above zero

    @property
    def since(self) -> Figure:
        """When it began."""
        return Figure(self.onset or first_seen(self.expression), "humanizeTimestamp")


VERSION = ("alias", "version")
SUBJECT = (*VERSION, "about")  # a flag, a group: each has alarms of its own, and pages of its own
SHARE = "humanizePercentage"


def _alarm(
    kind: str, title: str, severity: Severity, summary: str, do: str, uid: str = "", by: tuple[str, ...] = VERSION
) -> Rule:
    """A page that stays while the alarm is open."""
    named = ", ".join(by)
    shown = Figure(alarm_harm(kind, named), SHARE)
    onset, uid = alarm_onset(kind, named), f"homeostat-{uid or kind}"
    return Rule(uid, title, alarm_open(kind, named), by, severity, summary, do, amount=shown, onset=onset)


ALARMS = (
    _alarm(
        "quality",
        "A model is getting worse",
        "critical",
        "<alias> <version>: labels prove that it is worse than it was; <amount> of the labelled answers were wrong.",
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
        "<alias> <version>: its own confidence lets <amount> of its answers be wrong; labels would tell.",
        "`homeostat labels wanted <alias>` lists the replies to label first. To serve the version before: "
        "`homeostat rollback <alias>`.",
        uid="estimated",
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
CLIENTS = (
    Rule(
        "homeostat-errors",
        "Error budget burns",
        f"{burning('5m', BURN)} and {burning('1h', BURN)}",
        VERSION,
        "critical",
        "<alias> <version> answers <amount> of its requests with 5xx.",
        "If one version is the cause: `homeostat rollback <alias>`; if all are, look at the replicas: "
        "`homeostat status`.",
        amount=Figure(form=SHARE),
    ),
    Rule(
        "homeostat-labels",
        "Labels are wanted",
        "max by (alias) (homeostat_labels_wanted)",
        ("alias",),
        "warning",
        "<alias>: <amount> labels are missing; without them nobody can tell whether it does harm.",
        "`homeostat labels wanted <alias>` lists the replies to label first, `homeostat labels give <alias> FILE` "
        "sends what a reviewer filled in. To stop automatic steps meanwhile: `homeostat pause <alias>`.",
        for_="15m",
    ),
    Rule(
        "homeostat-trainer",
        "Retraining fails",
        newly('homeostat_retrainings_total{status="failed"}', "alias", "1h", "3600"),
        ("alias",),
        "warning",
        "<alias>: <amount> retrainings failed within an hour; the champion goes on serving.",
        "The reason is in retrain.results and in the trainer's log. To stop further ones: `homeostat pause <alias>`.",
    ),
)
PROCESSES = (
    Rule(
        "homeostat-down",
        "A process is down",
        f"max by (job, instance) (1 - {UP})",
        ("job", "instance"),
        "critical",
        "<job> at <instance> does not answer.",
        "Its last words are in its log; `homeostat up` starts what is missing.",
        for_="1m",
    ),
    Rule(
        "homeostat-absent",
        "Nobody reports for a process",
        " or ".join(ABSENT),
        ("job",),
        "critical",
        "<job> is unknown to Prometheus: it is gone, or nobody scrapes it.",
        "`homeostat status` says what runs, `homeostat up` starts what is missing. If it runs, its address lacks in "
        "Prometheus' targets.",
        for_="2m",
        onset=" or ".join(
            (f"max by (job) (max_over_time(timestamp({UP})[1d:1m]))", *(f"timestamp({gone})" for gone in ABSENT))
        ),
    ),
    Rule(
        "homeostat-fewer",
        "Processes have vanished",
        f"quantile_over_time(0.5, count by (job) ({UP})[1h:1m]) - count by (job) ({UP})",
        ("job",),
        "warning",
        "<job>: <amount> fewer processes report than in the last hour.",
        "`homeostat status` says what runs. Where they were taken away on purpose it ends by itself in half an hour.",
        for_="5m",
    ),
    Rule(
        "homeostat-replica",
        "A replica is unhealthy",
        "max by (replica) (1 - homeostat_replica_healthy)",
        ("replica",),
        "critical",
        "<replica> does not serve what it should, or has not said so lately; it gets no requests.",
        "The controller reloads adapters by itself; when the engine is gone, `homeostat up` starts it again.",
        for_="1m",
    ),
)
THE_LOG = (
    Rule(
        "homeostat-kafka",
        "Kafka is away",
        "max by (job, instance) (1 - homeostat_kafka_connected)",
        ("job", "instance"),
        "critical",
        "<job> at <instance> gets no answer from Kafka.",
        "Clients are served and events wait in the gateways' journals, but nothing is judged and no alarm can be "
        "raised. `homeostat doctor` looks at the brokers; `homeostat up` starts an embedded one.",
        for_="1m",
    ),
    Rule(
        "homeostat-stalled",
        "A consumer is stalled",
        "sum by (topic) (homeostat_consumer_stalled_partitions)",
        ("topic",),
        "warning",
        "Events wait in <amount> partitions of <topic>, and none is handled.",
        "See the worker's log: a batch that fails is tried again and again. Nothing is lost while it waits.",
        for_="2m",
    ),
    Rule(
        "homeostat-left-out",
        "A partition does not move",
        "max(homeostat_partitions_left_out)",
        (),
        "warning",
        "<amount> partitions of the events do not move: what the others hold is judged without them, as it comes.",
        "The worker's log says which. Is their broker up? Does a batch of theirs fail again and again?",
        for_="1m",
    ),
    Rule(
        "homeostat-spool",
        "A gateway's spool fills",
        f"max by (instance) (homeostat_publisher_spool_bytes) > {SPOOL_BYTES}",
        ("instance",),
        "warning",
        "<instance> keeps <amount>B of events on disk: Kafka takes too few of them.",
        "Replies are not affected. Is Kafka up, has its disk room? Beyond the spool's bound events are dropped. "
        "`homeostat doctor` looks at the brokers.",
        for_="5m",
        amount=Figure(form="humanize1024"),
    ),
    Rule(
        "homeostat-lost",
        "Events are lost",
        newly("homeostat_publisher_dropped_total", "topic, reason", "15m", "900"),
        ("topic", "reason"),
        "critical",
        "<amount> events for <topic> were dropped: <reason>.",
        "Bring Kafka back (`homeostat doctor` looks at it), or give the gateways more room (`gateway.spool_bytes`).",
    ),
    Rule(
        "homeostat-unread",
        "Events were deleted unread",
        newly("homeostat_events_deleted_unread_total", "topic", "15m", "900"),
        ("topic",),
        "critical",
        "<topic> deleted <amount> events before a worker read them: it keeps them for less time than the worker lags.",
        "They are lost to the monitor and to later trainings. Raise the topic's retention, add workers or partitions; "
        "`homeostat doctor` looks at the topics.",
    ),
    Rule(
        "homeostat-too-large",
        "Records are too large",
        newly("homeostat_records_too_large_total", "topic", "15m", "900"),
        ("topic",),
        "warning",
        "<amount> records for <topic> were larger than a broker takes, and were kept aside.",
        "The log of the process that sent them names each with its size and where it lies. Raise the topic's "
        "`max.message.bytes`, or lower what makes them large; `homeostat doctor` looks at the topics.",
    ),
    Rule(
        "homeostat-made-anew",
        "A topic was made anew",
        "max by (topic) (homeostat_topic_made_anew)",
        ("topic",),
        "critical",
        "<topic> was deleted and created again: the worker takes nothing of it, so nothing of it is judged.",
        "If that was meant: `homeostat topics accept <topic>` keeps the old rows and goes on with the new topic.",
    ),
    Rule(
        "homeostat-unreadable",
        "Events nobody could read",
        newly("homeostat_events_dead_lettered_total", "topic", "15m", "900"),
        ("topic",),
        "warning",
        "<amount> dead letters in <topic>.dlq.",
        "`homeostat dlq list` shows each with its reason, `homeostat dlq replay` takes it again. Often two releases "
        "write at the same time.",
    ),
)
RULES: tuple[Rule, ...] = (*ALARMS, *CLIENTS, *PROCESSES, *THE_LOG)
