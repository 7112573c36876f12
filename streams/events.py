"""Everything that flows through Kafka. Quantities carry their unit; names follow the OpenTelemetry GenAI conventions
where they have one. A reader refuses a `schema_version` that it does not know (see `streams.codec`)."""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.findings import Gap
from monitor.losses import loss_or_verdict
from monitor.operator_answer import OperatorAnswer
from monitor.rows import ScoreRows
from streams.kinds import AlarmKind, Arm, DecisionKind, RetrainStatus, Severity
from streams.messages import Message, ReplyChoice
from streams.proof import Probe, ProofShown

Json = Any  # a JSON value; only the ledger's recorded inputs and outputs and an alarm's evidence are untyped


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The field that every event has."""

    schema_version: int = 1  # raised where the meaning of a field changes


class InferenceServed(Event, frozen=True, kw_only=True):
    """One reply, as the client got it (topic `inference.events`, key `id`). Version 2 holds the whole request and the
    whole answer; in events of version 1 the fields of these are empty."""

    schema_version: int = 2
    id: str  # the request id's first part, a UUIDv7
    time_ms: int  # when the reply ended, milliseconds since the epoch
    alias: str  # the name that the client asked for
    version: str  # that answered; the champion where no replica could be asked
    replica: str  # name of the engine that was asked; empty where none was
    arm: Arm  # the part of the rollout that the version had
    assigned: Arm | None = None  # that was drawn; the champion stands in for a canary; None in events from before
    operation: str  # chat, completion, response or embedding
    client: str  # the API key's id, never the key; "/" and a pseudonym of its user, else its conversation, if named
    input_messages: list[Message]  # the question, private data masked; excerpts where it is long
    output: str  # what a label is compared with: the first choice's text, or its calls (`monitor.canonical`); masked
    input_tokens: int  # as the engine counted them; 0 where it did not
    output_tokens: int  # likewise
    ttft_ms: float  # request to first token; equals latency_ms where the reply was not streamed
    tpot_ms: float  # time per output token after the first; 0 where unknown
    latency_ms: float  # from the request to the end of the reply
    finish_reason: str  # the engine's own: stop, length, tool_calls, ...; empty where none came
    logprob_mean: float | None  # mean token log-probability; None where the engine gave none
    logprob_min: float | None  # of the least likely token; None where the engine gave none
    status: int  # HTTP status the client saw; 499 where it hung up
    streamed: bool = False  # whether the client asked for a stream
    tags: dict[str, str] = {}  # tenant, language, group: from request headers
    mirrors: str = ""  # of a shadow's reply: the event whose question it was asked
    comparable: bool | None = None  # whether a label can be compared with `output`; None in events from before
    user: str = ""  # pseudonym of the end user, where the request named one
    conversation: str = ""  # pseudonym of the conversation, likewise
    request: dict[str, Json] = {}  # what else decided the answer, as the client gave it: tools, format, sampling
    choices: list[ReplyChoice] = []  # all answers, where there is more than `output`: calls, reasoning, several
    cut: list[str] = []  # what is not whole: input_messages, output, choices, request.tools, ...
    tenant: str = ""  # by whose key private values were masked: a pseudonym of the key's own tenant, else of the key
    cohorts: list[str] = []  # whose labels of it are awaited: audit (chosen before the answer), complete/KEY
    drawn: str = ""  # pseudonym of whom the arm was drawn for: conversation, user, or response that others may follow


class FeedbackGiven(Event, frozen=True, kw_only=True):
    """A judgement of a reply, by a client, a reviewer or a downstream system (topic `inference.feedback`, key
    `event_id`). Version 2 has the loss; in events of version 1 it is 0 where the reply was `correct`, else 1."""

    schema_version: int = 2
    id: str  # deterministic from event id, author and content: a retried POST is the same event
    event_id: str  # of the reply that is judged: its `InferenceServed.id`
    time_ms: int  # when the feedback was taken, milliseconds since the epoch
    alias: str  # of the reply, as the next two
    version: str  # that answered
    arm: Arm  # that the version had then
    assigned: Arm | None = None  # that was drawn for the reply; None in events from before
    by: str  # API key's id; judge
    source: str = "client"  # client, reviewer or downstream; judge: a judge model, of a reply without a label
    label: str | None = None  # what the answer should have been (a class or exact text)
    correction: str | None = None  # a corrected answer, free text
    score: float | None = None  # 0 to 1
    origin: str = ""  # who chose the reply for a label: audit, random/KEY, ...; judge/NAME: no label; empty: not known
    thumb: bool | None = None  # true: up
    loss: float | None = None  # how bad the reply was, 0 to 1; None where no gateway could tell; a worker may
    metric: str = ""  # the name of what made the loss (`scoring.metrics`); empty where that is not known
    user: str = ""  # pseudonym of the end user who asked, as the reply's; empty where it is not known
    conversation: str = ""  # pseudonym of the reply's conversation, likewise
    share: float | None = None  # mean chance of the replies among which this one was drawn for a label
    probability: float | None = None  # with which it was drawn (`homeostat labels wanted --draw`), signed by the draw
    judges: str = ""  # of a worker's judgement, which has no text: the label's `id`; with no `loss`, it stays unknown
    correct: bool | None = None  # of version 1 alone, and read as the loss

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "loss", loss_or_verdict(self.loss, self.correct))


class ScoreBatch(Event, frozen=True, kw_only=True):
    """The ingest agent's rows from offsets `first_offset..last_offset` of one partition, for one alias
    (topic `monitor.scores`, key `alias`). Sent and confirmed before those offsets are acknowledged; after a
    crash batches may overlap, so the judge drops rows under its watermark. Version 2 has losses, not verdicts."""

    schema_version: int = 2
    alias: str  # of all the rows
    source_topic: str  # inference.events or inference.feedback
    partition: int  # of the source topic
    first_offset: int  # in that partition; offsets without a row were other aliases', duplicates or dead letters
    last_offset: int  # included
    descriptor_names: list[str]  # of the columns of `rows.descriptors`, in their order; empty for feedback
    rows: ScoreRows  # one for each event of the alias, in the order of the offsets
    topic_id: str = ""  # of the source topic: what its offsets count in (`streams.log.topic_ids`); empty: not known


class PartitionsPassed(Event, frozen=True, kw_only=True):
    """How far a worker is (topic `monitor.scores`, one record to each of its partitions every second or so). By
    `topic/partition`: everything that the log took there before `passed_ms` has its scores before this record.
    `partitions`: how many each topic has, so that no judge goes on without one that it does not know yet."""

    worker: str  # its name since it started
    passed_ms: dict[str, int]  # by `topic/partition`, the log's time; partitions whose time is not known are left out
    partitions: dict[str, int]


class WindowClosed(Event, frozen=True, kw_only=True):
    """A span of event time is over (topic `monitor.windows`, key `alias`). Version 2 has the labels' loss."""

    schema_version: int = 2
    id: str  # deterministic from alias, version, start and end
    alias: str  # the name that clients ask for
    version: str  # each version has windows of its own
    start_ms: int  # included, event time
    end_ms: int  # not included; `monitor.window_s` after the start
    requests: int  # replies whose event time is in the window, failed ones too
    errors: int  # of these, with a status of 500 or more
    labelled: int  # labels that were given in the window, for whichever reply
    loss: float | None = None  # the sum of theirs; None in events of version 1
    estimated_accuracy: float | None  # 1 less the loss that confidence promises; None where no calibration is trusted
    estimated_low: float | None = None  # 95 % bounds of the estimate, as far as its calibration is uncertain
    estimated_high: float | None = None  # None where there is no estimate
    latency_p50_ms: float  # half of the replies took no longer; to 1 %, and 0 without replies
    latency_p95_ms: float  # likewise, 95 % of them
    evidence: dict[str, float]  # kind of alarm -> log10 of its statistic over its threshold (>= 0 has fired)
    gaps: list[Gap] = []  # of groups against the rest, since the version is watched
    profile: str | None = None  # address of whylogs' profiles of its `worker.profile_window_s`, one a partition


class AlarmRaised(Event, frozen=True, kw_only=True):
    """A test has fired (topic `monitor.alarms`, key `alias`). The id is that of alias, version, kind and last event."""

    id: str  # by which `homeostat alarms` names it
    alias: str  # the name that clients ask for
    version: str  # that is watched
    kind: AlarmKind  # the question whose test has fired
    severity: Severity  # follows from the kind
    time_ms: int  # event time of the last event in the evidence
    first_event: str  # id of the event at the onset
    last_event: str  # id of the event that completed the evidence
    onset_ms: int  # best estimate of when it began, event time
    evidence: dict[str, Json]  # statistic, threshold, baseline, limit, counts; streams that moved most
    summary: str  # one sentence for a human
    report: str | None = None  # address of its page: a file, at storage.pages, or in the bucket of storage.url
    runbook: str = ""  # not set: alert rules link to the runbooks


class AlarmCleared(Event, frozen=True, kw_only=True):
    """An alarm is over (topic `monitor.alarms` too, with a `ce_type` of its own; key `alias`). One `id` per alarm."""

    id: str  # deterministic from the alarm's
    alias: str  # as in the alarm, like the next two
    version: str  # that was watched
    kind: AlarmKind  # the question whose test had fired
    alarm_id: str  # the alarm's `AlarmRaised.id`
    about: str  # which flag or group
    time_ms: int  # event time of the last event that it took, or the time of the operator's answer
    raised_ms: int  # the alarm's `time_ms`
    onset_ms: int  # as in the alarm
    cause: str  # quiet, retired, untested, cleared or accepted
    by: str  # the operator, where one ended it
    summary: str  # one sentence for a human


class AlarmAnswered(Event, frozen=True, kw_only=True):
    """An operator's answer to a version's alarms (topic `monitor.scores`, key `alias`), taken in a tick."""

    id: str  # a UUIDv7: the judge takes each once
    alias: str  # whose alarms are answered
    time_ms: int  # when the operator gave it, milliseconds since the epoch
    answer: OperatorAnswer  # which alarms, and what becomes of them


class RetrainRequested(Event, frozen=True, kw_only=True):
    """An order to make a better version (topic `retrain.requests`, key `alias`)."""

    id: str  # deterministic from the alarm
    alias: str  # the name that clients ask for
    champion: str  # version that is to be improved on; void once another serves
    time_ms: int  # the log's time of the record that led to it; when an operator or the schedule asked for it
    alarm_id: str  # the quality alarm's `AlarmRaised.id`; without one an id of its own, by which attempts are counted
    since_ms: int  # rows from here on are fresh
    reason: str  # one sentence for a human
    forgets: str = ""  # the order to forget a person whom the champion was taught; empty: harm led to it
    adopts: str = ""  # digest of an adapter made elsewhere, which is to be judged; empty: one is to be trained


class RetrainReported(Event, frozen=True, kw_only=True):
    """How a retraining stands (topic `retrain.results`, key `alias`). The first unexpired claim in the log owns it."""

    request_id: str  # the `RetrainRequested.id`
    alias: str  # as in the request
    status: RetrainStatus  # claimed while a trainer works, then one result
    time_ms: int  # when the trainer wrote it, milliseconds since the epoch
    by: str  # trainer id
    lease_until_ms: int = 0  # of a claim: until when it holds; where it is `time_ms`, the request is given back
    candidate: str | None = None  # version that was made; None in a claim and after a failure
    digest: str | None = None  # full sha256 of the adapter
    trained_rows: int = 0  # on which the candidate was trained
    dataset_digest: str | None = None  # sha256 that names the dataset's folder
    mlflow_run: str | None = None  # id of the run; empty where MLflow could not be written to
    checks: list[dict[str, Json]] = []  # the gate's checks, each with number, interval and sample
    metrics: dict[str, float] = {}  # of training and gate, by name, as MLflow has them
    reason: str = ""  # one sentence for a human; none in a claim
    short_of_labels: bool = False  # inconclusive, but no check has failed and more labels could settle it


class RouteWritten(Event, frozen=True, kw_only=True):
    """Desired state of an alias (topic `serving.routes`, key `alias`, one partition, never compacted). The first record
    of a generation in log order wins; later ones of the same generation are void."""

    alias: str  # the name that clients ask for
    generation: int  # 1 for the first route, one more for each that follows
    champion: str  # version that answers all requests but the canary's
    adapters: dict[str, str]  # version -> full digest, for champion, canary, shadow and previous
    time_ms: int  # when it was decided, milliseconds since the epoch
    by: str  # the controller's name or the operator's
    canary: str | None = None  # version that answers `weight` of the requests; None: no rollout, or it has ended
    weight: float = 0.0  # the canary's share of requests, 0 to 1
    salt: str = ""  # a secret of each rollout, by which gateways draw the arms; no client may know it
    shadow: str | None = None  # version that is asked too, for the log alone; None: none
    previous: str | None = None  # the champion before, kept loaded for a rollback; None: none
    paused: bool = False  # no automatic retraining or promotion
    cause: str = ""  # ledger entry that decided it
    request: str = ""  # the retraining whose rollout wrote it; none where a human did


class ReplicaAttested(Event, frozen=True, kw_only=True):
    """The versions that one engine replica serves, checked by its reconciler (topic `serving.attestations`, key
    `replica`). A side-car signs what it attests (`serving.routes.statement`). Readers set `time_ms` to the time when it
    came, by their own clock, or to the log's."""

    replica: str  # the engine's name, as in the settings
    url: str  # where gateways ask it
    time_ms: int  # when it was checked, milliseconds since the epoch; an old attestation no longer counts
    healthy: bool  # whether the engine answers: false empties `versions`
    base_model: str  # id of the base model by its content
    versions: dict[str, str]  # version -> full digest of the bytes the engine was given
    generations: dict[str, int]  # alias -> generation followed
    probes: dict[str, Probe] = {}  # version -> fingerprint, of those served and of those refused for it
    proofs: dict[str, ProofShown] = {}  # version -> proof of effect, of those served and of those refused for it
    gone: bool = False  # the side-car has ended: its last attestation, until one of its name begins
    sequence: int = 0  # of a side-car: higher than in all that it signed before
    nonce: str = ""  # of the gateway that asked; none in the log
    signature: str = ""  # Ed25519, base64; none of an engine that a controller looks after
    by: str = ""  # the process that attests: of several controllers one looks after an engine


class KeyRevoked(Event, frozen=True, kw_only=True):
    """An API key that no gateway and no admin API takes from now on (topic `serving.revocations`, key `sha256`)."""

    sha256: str  # digest of the key's secret: another key of the same name counts
    key: str  # its name in the keys file
    time_ms: int  # when it was revoked, milliseconds since the epoch
    by: str  # who revoked it


class DecisionRecorded(Event, frozen=True, kw_only=True):
    """One decision with everything needed to derive it again (topic `loop.ledger`, key `alias`).
    Written and confirmed before the decision takes effect. `function` names the pure function in
    `deploy.operator.replay`'s table; `replay` calls it with `inputs` and compares with `output`."""

    id: str  # deterministic from what was decided about; of rollouts and humans a UUIDv7
    alias: str  # that was decided about
    time_ms: int  # when it was decided; of the judge and the policy: the log's time of their input
    kind: DecisionKind  # who decided
    function: str  # the deciding function; `operator`: a human decided, and nothing is derived again
    edition: int = 0  # of the function: it decides alike as long as that stays; 0: from before there were editions
    inputs: dict[str, Json]  # its arguments by name
    output: Json  # what it returned; of judge and policy without the state, which follows from it
    cause: str = ""  # id of the decision or alarm that led here
    summary: str = ""  # one sentence for a human


class DeadLetter(Event, frozen=True, kw_only=True):
    """An event that could not be read (topic `<source>.dlq`)."""

    source_topic: str  # where the record stands, as the next two
    partition: int  # of the source topic
    offset: int  # in that partition
    reason: str  # why, masked; it ends with a note where the value is cut, and such a letter cannot be put back
    value: str  # base64 of the bytes
    time_ms: int  # the record's own time, milliseconds since the epoch
