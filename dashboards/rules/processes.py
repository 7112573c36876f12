"""Rules about the processes and the replicas."""

from __future__ import annotations

from dashboards.rules.rule import Figure, Rule

JOBS = ("gateway", "controller", "worker", "trainer", "storage")  # every installation has these
UNCARED_S = 6 * 3_600
REFUSED = 'homeostat_attestations_refused_total{reason!="stale"}'  # a replica that is silent has a rule of its own
UP = 'up{job=~"homeostat-.*"}'
ABSENT = tuple(f'absent(up{{job="homeostat-{job}"}})' for job in JOBS)
VANISHED = f"(group by (job) (last_over_time({UP}[1d])) unless group by (job) ({UP}))"

PROCESSES = (
    Rule(
        "homeostat-down",
        "A process is down",
        f"max by (job, instance) (1 - {UP})",
        ("job", "instance"),
        "critical",
        "<job> at <instance> does not answer.",
        "Its last words are in its log; the page says where that is, and how it is started.",
        for_="1m",
    ),
    Rule(
        "homeostat-absent",
        "A process is missing",
        " or ".join((*ABSENT, VANISHED)),
        ("job",),
        "critical",
        "<job> is unknown to Prometheus: it is gone, or it is not scraped.",
        "`homeostat status` says what runs, the page how it is started. If it runs, its address lacks in Prometheus' "
        "targets. For a renderer or a replica that was taken away on purpose it ends by itself in a day.",
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
        "<replica> does not serve what it should, or has not confirmed it in time; it gets no requests.",
        "The controller reloads adapters by itself; its log says what fails. Is the engine gone? The page says how to "
        "start it.",
        for_="1m",
    ),
    Rule(
        "homeostat-proof",
        "An engine computes with something else",
        "max by (replica, version) (homeostat_replica_proof_failed_info)",
        ("replica", "version"),
        "critical",
        "<replica> was given <version> and does not compute with it; nothing is served under its name there.",
        "The controller loads it again by itself. `homeostat status` says how far its answers are from the proof; "
        "see the page for engines of another type or quantisation.",
        for_="2m",
    ),
    Rule(
        "homeostat-attestations",
        "Attestations are refused",
        f"sum by (job, reason) (increase({REFUSED}[5m]))",
        ("job", "reason"),
        "critical",
        "<job> goes on refusing attestations, <amount> in five minutes: <reason>.",
        "The replicas that they are of get no requests for them. The log of a gateway names each with its reason: is "
        "`[replicas]` as the replicas are, or does a stranger write to `serving.attestations`?",
        for_="5m",
    ),
    Rule(
        "homeostat-storage",
        "Storage is not cared for",
        f"max by (part) (time() - homeostat_storage_cared_seconds) > {UNCARED_S}",
        ("part",),
        "warning",
        "<part> of the storage's care has not gone well for <amount>.",
        "The log of `homeostat run storage` says why; it is tried again and again. Nothing is lost, but small files "
        "pile up, and what is to be deleted stays.",
        for_="15m",
        amount=Figure(form="humanizeDuration"),
    ),
)
