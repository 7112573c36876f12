"""Everything that flows through Kafka, as frozen msgspec structs.

Field names follow the OpenTelemetry GenAI conventions where they have one. Quantities carry their unit.
Every struct has `schema_version`; a reader refuses a version it does not know (see `streams.codec`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.findings import Gap
from monitor.operator_answer import OperatorAnswer
from monitor.rows import ScoreRows
from streams.kinds import AlarmKind, Arm, DecisionKind, RetrainStatus, Severity

Json = Any  # a JSON value; only the ledger's recorded inputs and outputs and an alarm's evidence are untyped


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The field that every event has."""

    schema_version: int = 1


class Message(msgspec.Struct, frozen=True):
    """One chat message; `/v1/completions` prompts are one message with the role `text`."""

    role: str
    content: str


class InferenceServed(Event, frozen=True, kw_only=True):
    """One reply, as the client got it (topic `inference.events`, key `id`)."""

    id: str  # the request id's first part, a UUIDv7
    time_ms: int  # when the reply ended, milliseconds since the epoch
    alias: str
    version: str
    replica: str
    arm: Arm
    operation: str  # chat, completion, response or embedding
    client: str  # the API key's id, never the key; "/" and a pseudonym of its user, else its conversation, if named
    input_messages: list[Message]
    output: str
    input_tokens: int
    output_tokens: int
    ttft_ms: float  # request to first token; equals latency_ms where the reply was not streamed
    tpot_ms: float  # time per output token after the first; 0 where unknown
    latency_ms: float
    finish_reason: str
    logprob_mean: float | None  # mean token log-probability; None where the engine gave none
    logprob_min: float | None
    status: int  # HTTP status the client saw; 499 where it hung up
    streamed: bool = False
    tags: dict[str, str] = {}  # tenant, language, group: from request headers
    mirrors: str = ""  # of a shadow's reply: the event whose question it was asked
    comparable: bool | None = None  # whether a label can be compared with `output`; None in events from before


def comparable(known: bool | None, output: str) -> bool:
    """Return whether a label can be compared with a reply's output: it is one whole text. A tool call, reasoning alone,
    one of several answers are not, and no label makes them wrong. `known`: the event's own field.

    >>> comparable(None, "card_arrival"), comparable(None, " "), comparable(False, "Let me look.")
    (True, False, False)
    """
    return bool(output.strip()) if known is None else known


class FeedbackGiven(Event, frozen=True, kw_only=True):
    """A judgement of a reply, by a client, a reviewer or a downstream system (topic `inference.feedback`, key
    `event_id`)."""

    id: str  # deterministic from event id, author and content: a retried POST is the same event
    event_id: str
    time_ms: int
    alias: str
    version: str
    arm: Arm
    by: str  # API key's id
    source: str = "client"  # client, reviewer or downstream
    label: str | None = None  # what the answer should have been (a class or exact text)
    correction: str | None = None  # a corrected answer, free text
    score: float | None = None  # 0 to 1
    thumb: bool | None = None  # true: up
    correct: bool | None = None  # judged at the gateway; None where it cannot tell yet


class ScoreBatch(Event, frozen=True, kw_only=True):
    """The ingest agent's rows from offsets `first_offset..last_offset` of one partition, for one alias
    (topic `monitor.scores`, key `alias`). Sent and confirmed before those offsets are acknowledged; after a
    crash batches may overlap, so the judge drops rows under its watermark."""

    alias: str
    source_topic: str
    partition: int
    first_offset: int
    last_offset: int
    descriptor_names: list[str]
    rows: ScoreRows
    topic_id: str = ""  # of the source topic: what its offsets count in (`streams.log.topic_ids`); empty: not known


class PartitionsPassed(Event, frozen=True, kw_only=True):
    """How far a worker is (topic `monitor.scores`, one record to each of its partitions every second or so). By
    `topic/partition`: everything that the log took there before `passed_ms` has its scores before this record.
    `partitions`: how many each topic has, so that no judge goes on without one that it does not know yet."""

    worker: str
    passed_ms: dict[str, int]
    partitions: dict[str, int]


class WindowClosed(Event, frozen=True, kw_only=True):
    """A span of event time is over (topic `monitor.windows`, key `alias`)."""

    id: str
    alias: str
    version: str
    start_ms: int
    end_ms: int
    requests: int
    errors: int
    labelled: int
    correct: int
    estimated_accuracy: float | None
    estimated_low: float | None = None  # 95 % bounds of the estimate, as far as its calibration is uncertain
    estimated_high: float | None = None
    latency_p50_ms: float
    latency_p95_ms: float
    evidence: dict[str, float]  # kind of alarm -> log10 of its statistic over its threshold (>= 0 has fired)
    gaps: list[Gap] = []  # of groups against the rest, since the version is watched
    profile: str | None = None  # path of the merged whylogs profile


class AlarmRaised(Event, frozen=True, kw_only=True):
    """A test has fired (topic `monitor.alarms`, key `alias`). The id is deterministic: alias, version, kind and
    the event that completed the evidence."""

    id: str
    alias: str
    version: str
    kind: AlarmKind
    severity: Severity
    time_ms: int  # event time of the last event in the evidence
    first_event: str
    last_event: str
    onset_ms: int  # best estimate of when it began, event time
    evidence: dict[str, Json]  # statistic, threshold, baseline, limit, counts; streams that moved most
    summary: str  # one sentence for a human
    report: str | None = None  # path of the Evidently report
    runbook: str = ""


class AlarmCleared(Event, frozen=True, kw_only=True):
    """An alarm is over (topic `monitor.alarms` too, key `alias`; its header `ce_type` tells the two apart). One `id`
    per alarm."""

    id: str
    alias: str
    version: str
    kind: AlarmKind
    alarm_id: str
    about: str  # which flag or group
    time_ms: int  # event time of the last event that it took, or the time of the operator's answer
    raised_ms: int
    onset_ms: int
    cause: str  # quiet, retired, untested, cleared or accepted
    by: str  # the operator, where one ended it
    summary: str


class AlarmAnswered(Event, frozen=True, kw_only=True):
    """An operator's answer to a version's alarms (topic `monitor.scores`, key `alias`). The worker that judges the
    alias takes it in its tick."""

    id: str
    alias: str
    time_ms: int
    answer: OperatorAnswer


class RetrainRequested(Event, frozen=True, kw_only=True):
    """An order to make a better version (topic `retrain.requests`, key `alias`)."""

    id: str  # deterministic from the alarm
    alias: str
    champion: str
    time_ms: int
    alarm_id: str
    since_ms: int  # rows from here on are fresh
    reason: str


class RetrainReported(Event, frozen=True, kw_only=True):
    """How a retraining stands (topic `retrain.results`, key `alias`). `claimed` records are leases: the first
    unexpired claim in log order owns the request."""

    request_id: str
    alias: str
    status: RetrainStatus
    time_ms: int
    by: str  # trainer id
    lease_until_ms: int = 0
    candidate: str | None = None  # version
    digest: str | None = None  # full sha256 of the adapter
    trained_rows: int = 0
    dataset_digest: str | None = None
    mlflow_run: str | None = None
    checks: list[dict[str, Json]] = []  # the gate's checks, each with number, interval and sample
    metrics: dict[str, float] = {}
    reason: str = ""


class RouteWritten(Event, frozen=True, kw_only=True):
    """Desired state of an alias (topic `serving.routes`, key `alias`, one partition, never compacted).

    The first record of a generation in log order wins; later ones of the same generation are void."""

    alias: str
    generation: int
    champion: str
    adapters: dict[str, str]  # version -> full digest, for champion, canary, shadow and previous
    time_ms: int
    by: str
    canary: str | None = None
    weight: float = 0.0  # the canary's share of requests, 0 to 1
    shadow: str | None = None
    previous: str | None = None
    paused: bool = False  # no automatic retraining or promotion
    cause: str = ""  # ledger entry that decided it
    request: str = ""  # the retraining whose rollout wrote it; none where a human did


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One engine's answer to the probe prompt under a version's name (see `serving.replica.probe`)."""

    logprobs: dict[str, float]  # of the likeliest next tokens, by the engine's names for them
    since_ms: int  # when this replica first measured so; not contradicted since
    engine: str = ""  # the engine's own name for its build and configuration
    edition: int = 1  # of the question: answers to different ones are not compared
    differing: dict[str, float] = {}  # the present measurement, where it differs: not attested then


class ReplicaAttested(Event, frozen=True, kw_only=True):
    """The versions that one engine replica serves, checked by its reconciler (topic `serving.attestations`, key
    `replica`)."""

    replica: str
    url: str
    time_ms: int
    healthy: bool
    base_model: str
    versions: dict[str, str]  # version -> full digest of the bytes the engine was given
    generations: dict[str, int]  # alias -> generation followed
    probes: dict[str, Probe] = {}  # version -> fingerprint, of those served and of those refused for it


class DecisionRecorded(Event, frozen=True, kw_only=True):
    """One decision with everything needed to derive it again (topic `loop.ledger`, key `alias`).

    Written and confirmed before the decision takes effect. `function` names the pure function in
    `deploy.operator.replay`'s table; `replay` calls it with `inputs` and compares with `output`."""

    id: str
    alias: str
    time_ms: int
    kind: DecisionKind
    function: str
    edition: int = 0  # of the function: it decides alike as long as that stays; 0: from before there were editions
    inputs: dict[str, Json]
    output: Json
    cause: str = ""  # id of the decision or alarm that led here
    summary: str = ""


class DeadLetter(Event, frozen=True, kw_only=True):
    """An event that could not be read (topic `<source>.dlq`)."""

    source_topic: str
    partition: int
    offset: int
    reason: str
    value: str  # base64 of the bytes
    time_ms: int
