"""Events as a gateway would have sent them, and a worker in a process of its own."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import psutil
from kafka import KafkaProducer

from monitor.losses import of_verdict
from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import Event, FeedbackGiven, InferenceServed
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.log.settings import KafkaSettings
from streams.messages import Message
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.settings import WorkerSettings
from streams.topics import Topic
from tests.support.waiting import PATIENCE_S

START_MS = 1_750_000_000_000
SUBJECTS = ["card", "refund", "parcel", "password", "invoice", "subscription", "delivery", "account"]
OPENINGS = ["where is", "please cancel", "I cannot find", "how do I change", "what happened to", "help me with"]
TAILS = ["today", "from last week", "as soon as you can", "since the update", "that I paid for", "in the app"]


def served(alias: str, number: int, *, text: str | None = None, version: str = "", time_ms: int = 0) -> InferenceServed:
    """The `number`-th reply of an alias: the same number is the same event."""
    rng = random.Random(number)
    asked = text or f"{rng.choice(OPENINGS)} my {rng.choice(SUBJECTS)} {rng.choice(TAILS)} {rng.randrange(1000)}?"
    return InferenceServed(
        id=f"{alias}-{number:08d}",
        time_ms=time_ms or START_MS + 200 * number,
        alias=alias,
        version=version or f"{alias}-0123456789ab",
        replica="replica-1",
        arm=Arm.CHAMPION,
        operation="chat",
        client=f"client-{number % 97}",
        input_messages=[Message("system", "Name the intent."), Message("user", asked)],
        output=rng.choice(SUBJECTS),
        input_tokens=len(asked.split()),
        output_tokens=2,
        ttft_ms=20.0 + rng.random(),
        tpot_ms=5.0,
        latency_ms=40.0 + 10 * rng.random(),
        finish_reason="stop",
        logprob_mean=-0.2 * rng.random(),
        logprob_min=-rng.random(),
        status=200,
        tags={"tenant": "acme"},
    )


def feedback(event: InferenceServed, correct: bool | None) -> FeedbackGiven:
    """A client's label for a reply."""
    return FeedbackGiven(
        id=codec.deterministic_id("feedback", event.id, "client"),
        event_id=event.id,
        time_ms=event.time_ms + 1_000,
        alias=event.alias,
        version=event.version,
        arm=event.arm,
        by=event.client,
        origin="random/app",
        label="card",
        loss=of_verdict(correct),
        metric="exact_match",
    )


def produce(
    kafka: KafkaSettings, topic: Topic, events: Iterable[Event | bytes], partition: int | None = None
) -> list[tuple[int, int]]:
    """Sends events, or any bytes, and gives the partition and offset of each."""
    producer = KafkaProducer(acks="all", linger_ms=5, **kafka.client)
    sent = [
        producer.send(
            kafka.physical(topic.name),
            key=None if isinstance(event, bytes) else str(getattr(event, topic.key)).encode(),
            value=event if isinstance(event, bytes) else codec.encode(event),
            partition=partition,
        )
        for event in events
    ]
    places = [(done.partition, done.offset) for done in (each.get(timeout=30) for each in sent)]
    producer.close()
    return places


class Plan(msgspec.Struct):
    """What a worker process is started with."""

    kafka: KafkaSettings
    settings: WorkerSettings
    storage: Storage
    monitor: MonitorSettings
    policy: PolicySettings
    metrics: dict[str, str] = {}  # alias -> how a label judges its answers
    metrics_port: int = 0  # where Prometheus' figures are served; 0: nowhere
    mirrored: bool = False  # whether the topics have the times of another log, which a worker else refuses

    @property
    def lake(self) -> Lake:
        """The lake that its worker writes."""
        return Lake.of(self.storage)


class Process:
    """A worker that can be killed. `module`: what runs it, with its arguments."""

    def __init__(self, plan: Plan, log: Path, *module: str) -> None:
        self._plan, self._log = msgspec.json.encode(plan, enc_hook=str), log
        self._command = [sys.executable, "-m", *(module or ("tests.streams.support.worker",))]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert self._process.stdin is not None
        self._process.stdin.write(self._plan)
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether it is gone, by whatever cause."""
        return self._process is None or self._process.poll() is not None

    @property
    def frozen(self) -> bool:
        return self._process is not None and psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

    def wake(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=PATIENCE_S)
            self._process = None


def within(var: Path) -> Storage:
    """Where all stands in the folder `var`."""
    return Storage(StorageSettings(), var)


def small(app_id: str, **changes: object) -> WorkerSettings:
    """Settings for tests: small blocks and spans."""
    return WorkerSettings(
        **{  # type: ignore[arg-type]
            "app_id": app_id,
            "batch_events": 300,
            "within_s": 0.1,
            "lake_commit_s": 0.5,
            "profile_flush_s": 1.0,
            "commit_s": 0.5,
        }
        | changes
    )


def spread(kafka: KafkaSettings, topic: Topic, events: Sequence[Event], parts: int, pause: object) -> None:
    """Sends events in parts, with `pause(part)` called after each."""
    size = -(-len(events) // parts)
    for part in range(parts):
        produce(kafka, topic, events[part * size : (part + 1) * size])
        if callable(pause):
            pause(part)
