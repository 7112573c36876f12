"""The topics: one table that creates them, documents them and types what they carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from streams import events as e


@dataclass(frozen=True, slots=True)
class Topic:
    """`partitions` for one broker's default; `retention_h` None keeps records for ever."""

    name: str
    value: type[e.Event]
    key: str  # the field that is the record's key
    partitions: int = 1
    cleanup: str = "delete"  # or "compact"
    retention_h: int | None = 168
    max_bytes: int = 1_048_588
    compression: str = "producer"  # as the producer sent it, or what the broker stores
    timed_by_log: bool = False  # a record's time is when the log took it, else when its producer made it
    replication: int = 0  # copies of each partition; 0: the brokers' default
    min_insync: int = 0  # copies that must have a record before it counts as written; 0: the brokers' default

    @property
    def config(self) -> dict[str, str]:
        """Return Kafka's own settings for this topic."""
        retention_ms = -1 if self.retention_h is None else self.retention_h * 3_600_000
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(self.max_bytes),
            "compression.type": self.compression,
            "message.timestamp.type": "LogAppendTime" if self.timed_by_log else "CreateTime",
            **(FORGETTING if self.retention_h is not None else {}),
            **(COMPACTED if self.cleanup == "compact" else BY_AGE),
            **({"min.insync.replicas": str(self.min_insync)} if self.min_insync else {}),
        }


CREATES = "`homeostat topics apply` creates the topics"  # and `up` too
BIG = 16 * 1_048_576  # recorded inputs of a decision: a reference and a batch
SEGMENT_H = 24  # a record stays until all of its segment may go: so much longer than the retention, at most
FORGETTING = {"segment.ms": str(SEGMENT_H * 3_600_000)}
BY_AGE = {"retention.bytes": "-1"}  # by age or never, however many: brokers may have a default that forgets sooner
COMPACTED = {"segment.bytes": str(32 * 1_048_576), "min.cleanable.dirty.ratio": "0.2"}  # few superseded records stay

LABELLED_H = 216  # nine days: labels wait seven for their reply, and a worker may be away for two
INFERENCE = Topic("inference.events", e.InferenceServed, "id", partitions=4, retention_h=LABELLED_H, timed_by_log=True)
FEEDBACK = Topic(
    "inference.feedback", e.FeedbackGiven, "event_id", partitions=4, retention_h=LABELLED_H, timed_by_log=True
)
# its `PartitionsPassed` go to every partition
SCORES = Topic("monitor.scores", e.ScoreBatch, "alias", partitions=2, max_bytes=BIG)
STATE = Topic(
    "monitor.state",
    e.Event,
    "alias",
    partitions=2,
    cleanup="compact",
    retention_h=None,
    max_bytes=BIG,
    compression="gzip",
)
WINDOWS = Topic("monitor.windows", e.WindowClosed, "alias", partitions=2)
ALARMS = Topic("monitor.alarms", e.AlarmRaised, "alias", partitions=2)
REQUESTS = Topic("retrain.requests", e.RetrainRequested, "alias", retention_h=None)
# as many partitions as `monitor.scores`: the judge of an alias reads both
RESULTS = Topic("retrain.results", e.RetrainReported, "alias", partitions=2, retention_h=None)
ROUTES = Topic("serving.routes", e.RouteWritten, "alias", retention_h=None)
ATTESTATIONS = Topic("serving.attestations", e.ReplicaAttested, "replica", cleanup="compact", retention_h=None)
REVOCATIONS = Topic("serving.revocations", e.KeyRevoked, "sha256", cleanup="compact", retention_h=None)
LEDGER = Topic("loop.ledger", e.DecisionRecorded, "alias", retention_h=None, max_bytes=BIG, compression="gzip")
INFERENCE_DLQ = Topic("inference.events.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)
FEEDBACK_DLQ = Topic("inference.feedback.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)
SCORES_DLQ = Topic("monitor.scores.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)
RESULTS_DLQ = Topic("retrain.results.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)

TAKEN_IN = (INFERENCE, FEEDBACK)  # by workers, which store, score and judge it

KEPT_LONGER_S = 172_800  # that topics and lake keep replies and labels longer than a label waits for its reply

FITTING = (
    ((INFERENCE, FEEDBACK), "a label is taken in by the worker that takes in its reply"),
    ((SCORES, RESULTS, STATE), "the judge of an alias reads all of them under one number"),
)


def misfits(counts: Mapping[str, int]) -> list[str]:
    """Return the topics that belong together and are cut differently, by their counts of partitions; topics without a
    count are left out.

    >>> misfits({"inference.events": 4, "inference.feedback": 2})[0].partition(": ")[0]
    'inference.events has 4 partitions, inference.feedback has 2 partitions, expected as many of each'
    """
    wrong = []
    for fitting, why in FITTING:
        found = {topic.name: counts[topic.name] for topic in fitting if topic.name in counts}
        if len(set(found.values())) > 1:
            counted = ", ".join(f"{name} has {count} partitions" for name, count in found.items())
            wrong.append(f"{counted}, expected as many of each: {why}; add partitions to those that have fewer")
    return wrong


def forgetful(retention_ms: Mapping[str, int], wait_s: int) -> list[str]:
    """Return the topics that keep their records for less time than labels wait for their reply, and two days.

    >>> forgetful({"inference.events": -1, "inference.feedback": 3_600_000}, 604_800)[0].partition(":")[0]
    'inference.feedback has retention.ms = 3600000 and labels.wait_s is 604800, expected at least 777600000'
    """
    least_ms = (wait_s + KEPT_LONGER_S) * 1_000
    return [
        f"{name} has retention.ms = {found_ms} and labels.wait_s is {wait_s}, expected at least {least_ms}: a label "
        "and its reply must be there for two days longer than the label waits; raise the topic's retention.ms "
        "(`homeostat topics apply` does so), or lower labels.wait_s"
        for name, found_ms in retention_ms.items()
        if 0 <= found_ms < least_ms
    ]


def kept_for(topics: Iterable[Topic], wait_s: int) -> list[Topic]:
    """Return the topics as they must be where labels wait so long.

    >>> [each.retention_h for each in kept_for([FEEDBACK, SCORES], 1_209_600)]
    [384, 168]
    """
    least_h = -(-(wait_s + KEPT_LONGER_S) // 3_600)
    return [replace(each, retention_h=max(LABELLED_H, least_h)) if each in TAKEN_IN else each for each in topics]


TOPICS: tuple[Topic, ...] = (
    INFERENCE,
    FEEDBACK,
    SCORES,
    STATE,
    WINDOWS,
    ALARMS,
    REQUESTS,
    RESULTS,
    ROUTES,
    ATTESTATIONS,
    REVOCATIONS,
    LEDGER,
    INFERENCE_DLQ,
    FEEDBACK_DLQ,
    SCORES_DLQ,
    RESULTS_DLQ,
)
