"""Rules about the log: Kafka, the gateways' spools, and the events in them."""

from __future__ import annotations

from dashboards.promql import newly
from dashboards.rules.rule import Figure, Rule

UNWRITTEN_S = 60
SPOOL_BYTES = 64 * 1_048_576

LOG = (
    Rule(
        "homeostat-kafka",
        "Kafka is away",
        "max by (job, instance) (1 - homeostat_kafka_connected)",
        ("job", "instance"),
        "critical",
        "<job> at <instance> gets no answer from Kafka.",
        "Clients are served and events wait in the gateways' journals, but nothing is judged and no alarm can be "
        "raised. `homeostat doctor` looks at the brokers.",
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
        "homeostat-lake",
        "The lake takes no rows",
        f"max by (topic) (max_over_time(homeostat_lake_unwritten_seconds[1m])) > {UNWRITTEN_S}",
        ("topic",),
        "critical",
        "Events of <topic> have waited for the lake for <amount>.",
        "The worker's log says why: the store is away, refuses, or has no room. Nothing is lost while the log keeps "
        "the events: they are not acknowledged. `homeostat doctor` asks the bucket.",
        for_="2m",
        amount=Figure(form="humanizeDuration"),
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
        "A topic was replaced",
        "max by (topic) (homeostat_topic_made_anew)",
        ("topic",),
        "critical",
        "<topic> was deleted and created again: the worker takes nothing of it, so nothing of it is judged.",
        "If that was meant: `homeostat topics accept <topic>` keeps the old rows and goes on with the new topic.",
    ),
    Rule(
        "homeostat-unreadable",
        "Unreadable events",
        newly("homeostat_events_dead_lettered_total", "topic", "15m", "900"),
        ("topic",),
        "warning",
        "<amount> dead letters in <topic>.dlq.",
        "`homeostat dlq list` shows each with its reason, `homeostat dlq replay` takes it again. Often two releases "
        "write at the same time.",
    ),
)
