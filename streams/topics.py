"""The topics: one table that creates them, documents them and types what they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
            **(COMPACTED if self.cleanup == "compact" else {}),
        }


BIG = 16 * 1_048_576  # recorded inputs of a decision: a reference and a batch
SEGMENT_H = 24  # a record stays until all of its segment may go: so much longer than the retention, at most
FORGETTING = {"segment.ms": str(SEGMENT_H * 3_600_000)}
COMPACTED = {"segment.bytes": str(32 * 1_048_576), "min.cleanable.dirty.ratio": "0.2"}  # few superseded records stay

INFERENCE = Topic("inference.events", e.InferenceServed, "id", partitions=4, timed_by_log=True)
FEEDBACK = Topic("inference.feedback", e.FeedbackGiven, "event_id", partitions=4, timed_by_log=True)
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
LEDGER = Topic("loop.ledger", e.DecisionRecorded, "alias", retention_h=None, max_bytes=BIG, compression="gzip")
INFERENCE_DLQ = Topic("inference.events.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)
FEEDBACK_DLQ = Topic("inference.feedback.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)
SCORES_DLQ = Topic("monitor.scores.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)
RESULTS_DLQ = Topic("retrain.results.dlq", e.DeadLetter, "source_topic", max_bytes=BIG)

TAKEN_IN = (INFERENCE, FEEDBACK)  # by workers, which store, score and judge it

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
    LEDGER,
    INFERENCE_DLQ,
    FEEDBACK_DLQ,
    SCORES_DLQ,
    RESULTS_DLQ,
)
