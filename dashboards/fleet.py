"""The fleet's dashboard as code: is it healthy, is it getting worse, and does the loop do something about it?"""

from __future__ import annotations

from dashboards.panels import Json, Panel, PanelRow, Query, layout
from dashboards.promql import newly

UID = "homeostat-fleet"
TITLE = "Homeostat: the fleet"
PICKED = 'alias=~"$alias"'
RATE = "[$__rate_interval]"


def _rate(counter: str, by: str, matching: str = "") -> str:
    return f"sum by ({by}) (rate({counter}{{{matching}}}{RATE}))"


def _largest(gauge: str, by: str, matching: str = PICKED) -> str:
    return f"max by ({by}) ({gauge}{{{matching}}})"


def _share(status: str, by: str) -> str:
    """Return the share of replies with such a status, of all that clients got; no value where there were none."""
    got = f'{PICKED}, arm!="shadow"'
    every = _rate("homeostat_requests_total", by, got)
    some = _rate("homeostat_requests_total", by, f'{got}, status=~"{status}"')
    return f"({some} or 0 * {every}) / ({every} > 0)"


def _quantiles(histogram: str) -> tuple[Query, ...]:
    buckets = _rate(f"{histogram}_bucket", "le, version", PICKED)
    return tuple(Query(f"histogram_quantile({q / 100:g}, {buckets})", f"p{q} {{{{version}}}}") for q in (50, 95, 99))


REQUESTS = "homeostat_requests_total"
LABELLED = Query(f"max by (version) (homeostat_accuracy_ratio{{{PICKED}}})", "{{version}}, labelled")
ESTIMATED = Query(f"max by (version) (homeostat_estimated_accuracy_ratio{{{PICKED}}})", "{{version}}, estimated")
OPEN = Query(f"sum by (alias) ({_largest('homeostat_alarm_open', 'alias, version, kind, about')})", "{{alias}}")
HARM = Query(_largest("homeostat_evidence_ratio", "alias", f'{PICKED}, detector="quality"'), "{{alias}}")

NOW = (
    Panel(
        "Accuracy (labels)",
        (LABELLED,),
        "percentunit",
        "stat",
        high=1.0,
        text="Share right, or the metric's mean; last window.",
    ),
    Panel("Open alarms", (OPEN,), kind="stat", line=1.0, text="Open until its evidence ends or an operator clears it."),
    Panel("Evidence of harm", (HARM,), kind="stat", line=1.0, text="The labelled-harm test; an alarm is raised at 1."),
    Panel("Requests a second", (Query(_rate(REQUESTS, "alias", PICKED), "{{alias}}"),), "reqps", "stat"),
    Panel("Errors", (Query(_share("5..", "alias"), "{{alias}}"),), "percentunit", "stat", line=0.01, text="5xx."),
    Panel(
        "Generation of the route",
        (Query(_largest("homeostat_route_generation", "alias"), "{{alias}}"),),
        kind="stat",
        text="Goes up by one with every change of what is served.",
    ),
    Panel(
        "Healthy replicas",
        (
            Query("sum(min by (replica) (homeostat_replica_healthy))", "healthy"),
            Query("count(min by (replica) (homeostat_replica_healthy))", "all"),
        ),
        kind="stat",
    ),
)
QUALITY = (
    Panel(
        "Accuracy by version",
        (LABELLED, ESTIMATED),
        "percentunit",
        high=1.0,
        text="Labelled: from feedback. Estimated: from the model's own confidence, not measured.",
    ),
    Panel(
        "Evidence against its threshold",
        (Query(_largest("homeostat_evidence_ratio", "version, detector"), "{{version}} {{detector}}"),),
        line=1.0,
        low=1e-4,
        log=True,
        text="Each detector's statistic over its threshold. It fires at 1, the dashed line.",
    ),
    Panel(
        "Alarms",
        (
            Query(
                _largest("homeostat_alarm_open", "alias, version, kind, about"),
                "{{alias}} {{version}} {{kind}} {{about}}",
            ),
        ),
        high=1.0,
        text="1 while open. Only quality alarms, proven by labels, lead to a retraining.",
    ),
    Panel(
        "Labels wanted",
        (Query(_largest("homeostat_labels_wanted", "alias"), "{{alias}}"),),
        text="So many labels are missing to tell whether it does harm, or to train on.",
    ),
    Panel(
        "Groups against the rest",
        (Query(f"homeostat_group_gap_low_ratio{{{PICKED}}}", "{{tag}}={{group}} {{measure}}"),),
        "percentunit",
        text="How much worse a group is served at least: errors, refusals, slow replies. Below 0 nothing is proven.",
    ),
)
TRAFFIC = (
    Panel(
        "Requests by version and arm",
        (Query(_rate(REQUESTS, "version, arm", PICKED), "{{version}} {{arm}}"),),
        "reqps",
        text="A rollout shows as one colour taking over from another.",
    ),
    Panel(
        "Errors by version",
        (
            Query(_share("5..", "version"), "{{version}} 5xx"),
            Query(_share("4..", "version"), "{{version}} 4xx"),
        ),
        "percentunit",
    ),
    Panel("Latency", _quantiles("homeostat_request_duration_seconds"), "s"),
    Panel("Time to first token", _quantiles("homeostat_ttft_seconds"), "s"),
    Panel("Time per token of a stream", _quantiles("homeostat_tpot_seconds"), "s"),
    Panel(
        "Refused at the door",
        (
            Query(_rate("homeostat_rejected_total", "status, code"), "{{status}} {{code}}"),
            Query(_rate("homeostat_retries_total", "replica"), "{{replica}} gave no answer"),
        ),
        "reqps",
        text="429: more than a key or the gateway may take. A replica that gave no answer costs a try, not a reply.",
    ),
)
CHANGE = (
    Panel(
        "Share of the canary",
        (Query(_largest("homeostat_canary_weight_ratio", "alias"), "{{alias}}"),),
        "percentunit",
        high=1.0,
    ),
    Panel(
        "Retrainings",
        (
            Query(f"sum by (alias) (homeostat_retraining_requests_total{{{PICKED}}})", "{{alias}} asked for"),
            Query(f"sum by (alias, status) (homeostat_retrainings_total{{{PICKED}}})", "{{alias}} {{status}}"),
        ),
        text="Each request ends as promote, reject, inconclusive or failed.",
    ),
    Panel(
        "A trainer is at work", (Query(_largest("homeostat_trainer_busy", "instance", ""), "{{instance}}"),), high=1.0
    ),
)
LOG = (
    Panel(
        "Kafka answers",
        (Query("min by (job, instance) (homeostat_kafka_connected)", "{{job}} {{instance}}"),),
        high=1.0,
        text="0: this process gets no answer. Clients are served all the same.",
    ),
    Panel(
        "Consumer lag",
        (Query("sum by (topic) (homeostat_consumer_lag_events)", "{{topic}}"),),
        text="Events in the log that are not handled yet. It should come back to zero.",
    ),
    Panel(
        "Events handled, repeated, unreadable",
        (
            Query(_rate("homeostat_events_consumed_total", "topic"), "{{topic}} handled"),
            Query(_rate("homeostat_events_duplicate_total", "topic"), "{{topic}} repeated"),
            Query(_rate("homeostat_events_dead_lettered_total", "topic"), "{{topic}} unreadable"),
        ),
        "cps",
    ),
    Panel(
        "Waiting at the gateways",
        (Query(_largest("homeostat_publisher_spool_bytes", "instance", ""), "{{instance}}, on disk"),),
        "bytes",
        text="Grows while Kafka takes nothing; is sent, in order, when it does again.",
    ),
    Panel(
        "Lost events",
        (
            Query(
                newly("homeostat_publisher_dropped_total", "topic, reason", "$__rate_interval"), "{{topic}} {{reason}}"
            ),
        ),
        line=1.0,
        text="Anything but zero: the spool was full.",
    ),
)
ROWS: tuple[PanelRow, ...] = (
    PanelRow("Is it well?", NOW, height=5),
    PanelRow("Quality", QUALITY),
    PanelRow("Traffic", TRAFFIC),
    PanelRow("Rollout and retraining", CHANGE),
    PanelRow("The log", LOG),
)


def dashboard() -> Json:
    """Return the dashboard as Grafana imports it; the data source is a variable."""
    return {
        "uid": UID,
        "title": TITLE,
        "tags": ["homeostat"],
        "timezone": "browser",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), _aliases()]},
        "annotations": {"list": []},
        "panels": layout(ROWS),
    }


def _datasource() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _aliases() -> Json:
    return {
        "name": "alias",
        "label": "Alias",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": f"label_values({REQUESTS}, alias)", "refId": "aliases"},
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }
