"""Who is woken up by what: Grafana's alert rules as code."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.panels import Json

FOLDER = "homeostat"  # uid of the folder the rules live in
GROUP = "homeostat"
EVERY_S = 60
BURN = 14.4 * 0.01  # of an SLO of 99 %: a month's error budget within two days
SPOOL_BYTES = 64 * 1_048_576
SAMPLING: Json = {"intervalMs": 1000, "maxDataPoints": 43200}  # Grafana's own defaults, said so that a push compares


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires while `expression` is above zero for some series, for at least `for_`."""

    uid: str
    title: str
    expression: str
    for_: str
    severity: str  # "critical" or "warning"
    summary: str
    runbook: str


def _new(counter: str, by: str, window: str) -> str:
    """How far a counter rose in the window. Unlike `increase`, it counts a series that began inside the window."""
    now = f"sum by ({by}) ({counter})"
    return f"{now} - (sum by ({by}) ({counter} offset {window}) or 0 * {now})"


def _burning(window: str) -> str:
    """Of what clients got: a shadow's answers reach nobody."""
    every = 'homeostat_requests_total{arm!="shadow"%s}'
    failed, asked = (f"sum by (alias) (rate({every % more}[{window}]))" for more in (', status=~"5.."', ""))
    return f"{failed} / {asked} > {BURN:g}"


RULES: tuple[Rule, ...] = (
    Rule(
        "homeostat-harm",
        "A model is getting worse",
        _new('homeostat_alarms_total{kind="quality"}', "alias", "15m"),
        "0s",
        "critical",
        "Labels prove that {{ $labels.alias }} is worse than it was.",
        "A retraining was asked for unless the alias is paused, cooling down or out of budget: see loop.ledger, "
        "`homeostat status`, and the alarm's report. `homeostat pause` stops all automatic steps.",
    ),
    Rule(
        "homeostat-safety",
        "Answers cross a line",
        _new('homeostat_alarms_total{kind="safety"}', "alias", "15m"),
        "0s",
        "critical",
        "{{ $labels.alias }} gives answers with private data, abuse, refusals or what policy forbids more often than "
        "it did.",
        "The alarm says which and since when, its report shows examples. Where one version is the cause: "
        "`homeostat rollback`.",
    ),
    Rule(
        "homeostat-fairness",
        "A group is served worse",
        _new('homeostat_alarms_total{kind="fairness"}', "alias", "15m"),
        "0s",
        "warning",
        "{{ $labels.alias }} serves one group of its clients worse than the rest.",
        "The alarm says which group and in what: errors, refusals or slow replies. Labels of that group help a "
        "retraining most.",
    ),
    Rule(
        "homeostat-errors",
        "Error budget burns",
        f"({_burning('5m')}) and ({_burning('1h')})",
        "0s",
        "critical",
        "{{ $labels.alias }} answers with 5xx more often than its budget allows.",
        "Look at the errors by version: if one version is the cause, `homeostat rollback`; if all, at the replicas.",
    ),
    Rule(
        "homeostat-down",
        "A process is down",
        'max by (job, instance) (1 - up{job=~"homeostat-.*"})',
        "1m",
        "critical",
        "{{ $labels.job }} at {{ $labels.instance }} does not answer.",
        "Its last words are in var/log/<name>.log; `homeostat up` starts what is missing.",
    ),
    Rule(
        "homeostat-replica",
        "A replica is unhealthy",
        "max by (replica) (1 - homeostat_replica_healthy)",
        "1m",
        "critical",
        "{{ $labels.replica }} does not serve what it should.",
        "The controller reloads adapters by itself; when the engine is gone, `homeostat up` starts it again.",
    ),
    Rule(
        "homeostat-stalled",
        "A consumer is stalled",
        "sum by (topic) (homeostat_consumer_stalled_partitions)",
        "2m",
        "warning",
        "Events wait in {{ $labels.topic }} and none is handled.",
        "See var/log/worker.log: a batch that fails is tried again and again. Nothing is lost while it waits.",
    ),
    Rule(
        "homeostat-left-out",
        "A partition does not move",
        "max(homeostat_partitions_left_out)",
        "1m",
        "warning",
        "Some partitions of the events do not move: what the others hold is judged without them, as it comes.",
        "See var/log/worker.log for which. Is their broker up? Does a batch of theirs fail again and again?",
    ),
    Rule(
        "homeostat-spool",
        "A gateway's spool fills",
        f"max by (instance) (homeostat_publisher_spool_bytes) > {SPOOL_BYTES}",
        "5m",
        "warning",
        "{{ $labels.instance }} keeps events on disk: Kafka takes too few of them.",
        "Replies are not affected. Is Kafka up, has its disk room? Beyond the spool's bound events are dropped.",
    ),
    Rule(
        "homeostat-lost",
        "Events are lost",
        _new("homeostat_publisher_dropped_total", "topic, reason", "15m"),
        "0s",
        "critical",
        "Events for {{ $labels.topic }} were dropped: {{ $labels.reason }}.",
        "The spool was full. Bring Kafka back, or give the gateways more room.",
    ),
    Rule(
        "homeostat-unreadable",
        "Events nobody could read",
        _new("homeostat_events_dead_lettered_total", "topic", "15m"),
        "0s",
        "warning",
        "Dead letters in {{ $labels.topic }}.dlq.",
        "Each carries its reason and source offset. Often two versions of the software write at the same time.",
    ),
    Rule(
        "homeostat-trainer",
        "Retraining fails",
        _new('homeostat_retrainings_total{status="failed"}', "alias", "1h"),
        "0s",
        "warning",
        "A retraining of {{ $labels.alias }} failed; the champion goes on serving.",
        "The reason is in retrain.results and var/log/trainer.log.",
    ),
)


def group(datasource: str) -> list[Json]:
    """All rules, reading from the data source with that uid."""
    return [rule_json(rule, datasource) for rule in RULES]


def rule_json(rule: Rule, datasource: str) -> Json:
    """One rule as Grafana's provisioning API has it."""
    return {
        "uid": rule.uid,
        "title": rule.title,
        "folderUID": FOLDER,
        "ruleGroup": GROUP,
        "orgID": 1,
        "condition": "B",
        "data": [_query(rule.expression, datasource), _above_zero()],
        "for": rule.for_,
        "noDataState": "OK",
        "execErrState": "Error",
        "isPaused": False,
        "labels": {"severity": rule.severity, "product": "homeostat"},
        "annotations": {"summary": rule.summary, "runbook": rule.runbook},
    }


def _query(expression: str, datasource: str) -> Json:
    model = {
        "refId": "A",
        "expr": expression,
        "instant": True,
        "range": False,
        **SAMPLING,
    }
    return {"refId": "A", "datasourceUid": datasource, "relativeTimeRange": {"from": 600, "to": 0}, "model": model}


def _above_zero() -> Json:
    condition = {"type": "query", "evaluator": {"type": "gt", "params": [0]}}
    model = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [condition],
        "datasource": {"type": "__expr__", "uid": "__expr__"},
        **SAMPLING,
    }
    return {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": model}
