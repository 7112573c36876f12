"""Each rule by Prometheus' own unit tests: when it pages, when it does not, and what the page says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from dashboards import pages
from dashboards.export import GRAFANA, RULES_FILE, export
from dashboards.rules.processes import JOBS
from dashboards.rules.rule import Rule
from dashboards.rules.table import RULES

pytestmark = pytest.mark.system

DAWN = "1970-01-01 {} +0000 UTC"
ALIAS = 'alias="support"'
V1, V2 = (f'{ALIAS}, version="v{n}"' for n in (1, 2))
WORKERS = [f'job="homeostat-worker", instance="worker-{n}:9103"' for n in (1, 2)]
GATEWAY = 'job="homeostat-gateway", instance="g:1"'
EVERYBODY = {f'up{{job="homeostat-{job}", instance="{job}:1"}}': "1x120" for job in JOBS}


@dataclass(frozen=True)
class Case:
    """Series as Prometheus' tests write them, one value a minute, and who is paged `at` minutes later."""

    rule: str
    what: str
    series: Mapping[str, str]
    paged: Mapping[str, str] | None = None  # the labels; None: no page
    at: int = 60
    figures: Mapping[str, str] = field(default_factory=dict)


def alarm(kind: str, values: str, version: str = V1, worker: str = WORKERS[0], onset: str = "600") -> dict[str, str]:
    about = f', about="{ABOUT[kind]}"' if kind in ABOUT else ""
    labels = f'{version}, kind="{kind}"{about}, {worker}'
    times = re.sub(r"[01](?=x)", onset, values)
    return {
        f"homeostat_alarm_open{{{labels}}}": values,
        f"homeostat_alarm_onset_seconds{{{labels}}}": times,
        f"homeostat_alarm_harm_ratio{{{labels}}}": re.sub(r"[01](?=x)", "0.37", values),
    }


PAGED = {"alias": "support", "version": "v1"}
ABOUT = {"safety": "output_pii", "fairness": "language=de"}
SHOWN = {"amount": "37%", "since": DAWN.format("00:10:00")}
GONE = "1x30 _x90"  # reports for half an hour, then nothing


def kind_of(rule: str) -> str:
    other = {
        "homeostat-harm": "quality",
        "homeostat-estimated": "estimated_quality",
        "homeostat-judged": "judged_quality",
    }
    return other.get(rule, rule[10:])


def paged(rule: str) -> dict[str, str]:
    return PAGED | ({"about": ABOUT[kind_of(rule)]} if kind_of(rule) in ABOUT else {})


ALARMS = [
    *("homeostat-harm", "homeostat-safety", "homeostat-fairness", "homeostat-estimated", "homeostat-complaints"),
    "homeostat-judged",
    "homeostat-latency",
]
COUNTED = [
    ("homeostat-unread", "homeostat_events_deleted_unread_total"),
    ("homeostat-too-large", "homeostat_records_too_large_total"),
]
CASES = [
    *(Case(rule, "an open alarm pages", alarm(kind_of(rule), "1x120"), paged(rule), figures=SHOWN) for rule in ALARMS),
    *(Case(rule, "a cleared one does not", alarm(kind_of(rule), "1x30 0x90")) for rule in ALARMS),
    Case("homeostat-harm", "at the first moment", alarm("quality", "_x59 1x60"), PAGED, figures=SHOWN),
    Case("homeostat-harm", "once more within 15 minutes of a restart",
         alarm("quality", "1x40 0x15 _x2 1x60"), PAGED, figures=SHOWN),
    Case("homeostat-harm", "on while the only worker is gone", alarm("quality", GONE), PAGED, figures=SHOWN),
    Case("homeostat-harm", "on while a partition is handed over",
         alarm("quality", "1x58 _x60") | alarm("quality", "_x60 1x60", worker=WORKERS[1]), PAGED, figures=SHOWN),
    Case("homeostat-harm", "by another worker that clears it",
         alarm("quality", GONE) | alarm("quality", "_x35 1x5 0x90", worker=WORKERS[1])),
    Case("homeostat-harm", "gone with its version, though the worker is replaced",
         alarm("quality", GONE) | alarm("quality", "_x35 0x90", version=V2, worker=WORKERS[1])),
    Case("homeostat-harm", "of the next version while the last one's is over",
         alarm("quality", GONE) | alarm("quality", "_x35 1x90", V2, WORKERS[1], "2400"),
         {"alias": "support", "version": "v2"}, figures={"amount": "37%", "since": DAWN.format("00:40:00")}),
    Case("homeostat-harm", "not by another kind", alarm("drift", "1x120")),
    Case("homeostat-errors", "both windows burn",
         {f'homeostat_requests_total{{{V1}, arm="champion", status="200"}}': "0+60x120",
          f'homeostat_requests_total{{{V1}, arm="champion", status="502"}}': "0+20x120"},
         PAGED, figures={"amount": "25%", "since": DAWN.format("00:01:00")}),
    Case("homeostat-errors", "a shadow's errors reach no client",
         {f'homeostat_requests_total{{{V1}, arm="champion", status="200"}}': "0+60x120",
          f'homeostat_requests_total{{{V1}, arm="shadow", status="502"}}': "0+60x120"}),
    Case("homeostat-labels", "wanted for a quarter of an hour", {f"homeostat_labels_wanted{{{ALIAS}}}": "30x120"},
         {"alias": "support"}, figures={"amount": "30", "since": DAWN.format("00:00:00")}),
    Case("homeostat-labels", "given", {f"homeostat_labels_wanted{{{ALIAS}}}": "30x50 0x60"}),
    Case("homeostat-trainer", "the first failure",
         {f'homeostat_retrainings_total{{{ALIAS}, status="failed"}}': "_x50 1x60"},
         {"alias": "support"}, figures={"amount": "1", "since": DAWN.format("00:50:00")}),
    Case("homeostat-trainer", "what ended well", 
         {f'homeostat_retrainings_total{{{ALIAS}, status="promote"}}': "0+1x90"}),
    Case("homeostat-down", "a target that does not answer",
         EVERYBODY | {'up{job="homeostat-worker", instance="w:1"}': "0x90"},
         {"job": "homeostat-worker", "instance": "w:1"}, figures={"since": DAWN.format("00:00:00")}),
    Case("homeostat-down", "all well", EVERYBODY),
    Case("homeostat-absent", "a job without a target",
         {name: "1x50" if "trainer" in name else value for name, value in EVERYBODY.items()},
         {"job": "homeostat-trainer"}, figures={"since": DAWN.format("00:50:00")}),
    Case("homeostat-absent", "one that never had a target",
         {name: value for name, value in EVERYBODY.items() if "trainer" not in name},
         {"job": "homeostat-trainer"}, figures={"since": DAWN.format("01:00:00")}),
    Case("homeostat-absent", "a renderer, which not every installation has",
         EVERYBODY | {'up{job="homeostat-renderer", instance="r:1"}': "1x50"},
         {"job": "homeostat-renderer"}, figures={"since": DAWN.format("00:50:00")}),
    Case("homeostat-absent", "all well", EVERYBODY),
    Case("homeostat-fewer", "one of two gateways vanished",
         EVERYBODY | {'up{job="homeostat-gateway", instance="gateway:2"}': "1x50 _x60"},
         {"job": "homeostat-gateway"}, at=70, figures={"amount": "1", "since": DAWN.format("00:56:00")}),
    Case("homeostat-fewer", "pods of a rollout replaced",
         EVERYBODY | {'up{job="homeostat-gateway", instance="gateway:2"}': "1x50 _x60",
                      'up{job="homeostat-gateway", instance="gateway:3"}': "_x49 1x60"}),
    Case("homeostat-replica", "unhealthy", {'homeostat_replica_healthy{replica="e1"}': "1x50 0x60"},
         {"replica": "e1"}, figures={"since": DAWN.format("00:51:00")}),
    Case("homeostat-replica", "healthy", {'homeostat_replica_healthy{replica="e1"}': "1x120"}),
    Case("homeostat-proof", "an engine that computes with something else",
         {'homeostat_replica_proof_failed_info{replica="e1", version="v1"}': "0x49 1x60"},
         {"replica": "e1", "version": "v1"}, figures={"since": DAWN.format("00:50:00")}),
    Case("homeostat-proof", "proven at the second loading",
         {'homeostat_replica_proof_failed_info{replica="e1", version="v1"}': "0x59 1 0x60"}),
    Case("homeostat-attestations", "a forged answer each second",
         {f'homeostat_attestations_refused_total{{reason="signature", {GATEWAY}}}': "0x49 0+60x60"},
         {"job": "homeostat-gateway", "reason": "signature"},
         figures={"amount": "300", "since": DAWN.format("00:51:00")}),
    Case("homeostat-attestations", "those that lay in the log at a start",
         {f'homeostat_attestations_refused_total{{reason="unsigned", {GATEWAY}}}': "0x56 3x60"}),
    Case("homeostat-attestations", "a replica that is silent",
         {f'homeostat_attestations_refused_total{{reason="stale", {GATEWAY}}}': "0+1x120"}),
    Case("homeostat-lake", "away for three minutes, with a worker that begins again and again",
         {'homeostat_lake_unwritten_seconds{topic="inference.events"}': "0x57 60 120 180 0 240 300 360 0 420"},
         {"topic": "inference.events"}, at=64, figures={"amount": "6m 0s", "since": DAWN.format("00:59:00")}),
    Case("homeostat-lake", "rows wait for the next commit",
         {'homeostat_lake_unwritten_seconds{topic="inference.events"}': "5x120"}),
    Case("homeostat-storage", "not merged since dawn",
         {'homeostat_storage_cared_seconds{part="merge"}': "0x500"},
         {"part": "merge"}, at=400, figures={"amount": "6h 40m 0s", "since": DAWN.format("06:01:00")}),
    Case("homeostat-storage", "cared for", {'homeostat_storage_cared_seconds{part="merge"}': "0+60x500"}, at=400),
    Case("homeostat-kafka", "away for two minutes", {f"homeostat_kafka_connected{{{WORKERS[0]}}}": "1x57 0x60"},
         {"job": "homeostat-worker", "instance": "worker-1:9103"}, figures={"since": DAWN.format("00:58:00")}),
    Case("homeostat-kafka", "once more, after an hour in which all was well",
         {f"homeostat_kafka_connected{{{WORKERS[0]}}}": "1x9 0x5 1x60 0x60"},
         {"job": "homeostat-worker", "instance": "worker-1:9103"}, at=80, figures={"since": DAWN.format("01:17:00")}),
    Case("homeostat-kafka", "there", {f"homeostat_kafka_connected{{{WORKERS[0]}}}": "1x120"}),
    Case("homeostat-stalled", "two partitions",
         {'homeostat_consumer_stalled_partitions{topic="inference.events"}': "2x90"},
         {"topic": "inference.events"}, figures={"amount": "2", "since": DAWN.format("00:00:00")}),
    Case("homeostat-stalled", "none", {'homeostat_consumer_stalled_partitions{topic="inference.events"}': "0x90"}),
    Case("homeostat-left-out", "three", {'homeostat_partitions_left_out{partition="0"}': "3x90"},
         {}, figures={"amount": "3", "since": DAWN.format("00:00:00")}),
    Case("homeostat-left-out", "none", {'homeostat_partitions_left_out{partition="0"}': "0x90"}),
    Case("homeostat-spool", "100 MiB", {'homeostat_publisher_spool_bytes{instance="g:1"}': "104857600x90"},
         {"instance": "g:1"}, figures={"amount": "100Mi", "since": DAWN.format("00:00:00")}),
    Case("homeostat-spool", "a little", {'homeostat_publisher_spool_bytes{instance="g:1"}': "1048576x90"}),
    Case("homeostat-lost", "the first ones",
         {'homeostat_publisher_dropped_total{topic="inference.events", reason="full"}': "_x55 7x60"},
         {"topic": "inference.events", "reason": "full"}, figures={"amount": "7", "since": DAWN.format("00:55:00")}),
    Case("homeostat-lost", "by a process that restarted, as many as its predecessor",
         {f'homeostat_publisher_dropped_total{{topic="t", reason="full", {WORKERS[0]}}}': "7x56 _x2 7x60",
          f"process_start_time_seconds{{{WORKERS[0]}}}": "0x56 3420x60"},
         {"topic": "t", "reason": "full"}, figures={"amount": "7", "since": DAWN.format("00:57:00")}),
    Case("homeostat-lost", "long ago", {'homeostat_publisher_dropped_total{topic="t", reason="full"}': "7x120"}),
    *(Case(rule, "the first ones", {f'{counter}{{topic="t"}}': "_x55 3x60"},
           {"topic": "t"}, figures={"amount": "3", "since": DAWN.format("00:55:00")}) for rule, counter in COUNTED),
    *(Case(rule, "long ago", {f'{counter}{{topic="t"}}': "3x120"}) for rule, counter in COUNTED),
    Case("homeostat-made-anew", "at once", {'homeostat_topic_made_anew{topic="t"}': "0x55 1x60"},
         {"topic": "t"}, figures={"since": DAWN.format("00:56:00")}),
    Case("homeostat-made-anew", "accepted", {'homeostat_topic_made_anew{topic="t"}': "1x55 0x60"}),
    Case("homeostat-unreadable", "the first one", {'homeostat_events_dead_lettered_total{topic="t"}': "_x55 1x60"},
         {"topic": "t"}, figures={"amount": "1", "since": DAWN.format("00:55:00")}),
    Case("homeostat-unreadable", "long ago", {'homeostat_events_dead_lettered_total{topic="t"}': "1x120"}),
]  # fmt: skip


def expected(case: Case) -> list[dict[str, object]]:
    if case.paged is None:
        return []
    rule = next(rule for rule in RULES if rule.uid == case.rule)
    labels = {**case.paged, "severity": rule.severity, "product": "homeostat"}
    return [{"exp_labels": labels, "exp_annotations": page_texts(rule, {**case.paged, **case.figures})}]


def page_texts(rule: Rule, words: Mapping[str, str]) -> dict[str, str]:
    texts = {"summary": rule.summary, "description": f"Since <since>. {rule.do}"}
    put = {name: re.sub(r"<(\w+)>", lambda found: words[found.group(1)], text) for name, text in texts.items()}
    return {"title": rule.title, **put, "runbook_url": pages.link(GRAFANA, rule.uid)}


def asked(case: Case) -> dict[str, object]:
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    alert = {"eval_time": f"{case.at}m", "alertname": case.rule, "exp_alerts": expected(case)}
    return {"interval": "1m", "input_series": series, "alert_rule_test": [alert]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.what}")
def test_who_is_paged_and_what_the_page_says(case: Case, tmp_path: Path) -> None:
    export(tmp_path)
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [f"prometheus/{RULES_FILE}"], "tests": [asked(case)]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tried_both_ways() -> None:
    assert {case.rule for case in CASES if case.paged is not None} == {rule.uid for rule in RULES}
    assert {case.rule for case in CASES if case.paged is None} == {rule.uid for rule in RULES}


def test_prometheus_takes_its_settings_and_the_rules(tmp_path: Path) -> None:
    export(tmp_path)
    settings = tmp_path / "prometheus/prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", str(settings)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout
