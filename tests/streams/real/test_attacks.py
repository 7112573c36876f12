"""Workers that die or freeze where it hurts most, and a broker that dies under them: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from deploy.stack import ports, processes
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import FeedbackGiven, InferenceServed, ScoreBatch
from streams.judge.memory import JudgeRecord
from streams.judge.ordering import decode_scores
from streams.log.read import Raw, span
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.topics import FEEDBACK, INFERENCE, LEDGER, REQUESTS, SCORES, STATE
from tests.streams.support.exactly import left_exactly, life
from tests.streams.support.faults import Spot
from tests.streams.support.residue import counted, drained, profiles
from tests.streams.support.traffic import Plan, Process, produce, small, within
from tests.support.waiting import wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MONITOR = MonitorSettings(reference_events=400, window_s=20)
POLICY = PolicySettings(min_fresh_labels=60)
INTAKE = (  # in the order in which one life comes to them
    Spot("homeostat.ScoreBatch", "before", nth=2),  # rows are made, their scores are nowhere
    Spot("homeostat.ScoreBatch", "after", nth=2),  # scores are out, their rows are not in the lake
    Spot("lake", "before", nth=2),  # the table is loaded, and nothing written to it
    Spot("lake", "after", nth=2),  # rows are in the lake, their events not acknowledged
    Spot("homeostat.PartitionsPassed", "after", nth=2),  # it is told how far they are, and not yet judged
)
JUDGEMENT = (  # the same. A worker that was to die later than here may have made its decision: nothing stands before it
    Spot(LEDGER.name, "after"),  # the decision is written, its effect is not out
    Spot(REQUESTS.name, "after"),  # the effect is out, the memory knows nothing of it
    Spot(STATE.name, "after"),  # the memory knows, the scores are not acknowledged
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """One of each test's own: it may be killed, and workers find nothing in it but what is theirs."""
    kafka = EmbeddedKafka(tmp_path / "broker", ports.free(1)[0], cache_folder())
    kafka.start()
    try:
        create_topics(kafka.settings)
        yield kafka
    finally:
        kafka.stop()


@dataclass(slots=True)
class Scene:
    """An alias with a life of its own, and the workers that follow it."""

    kafka: KafkaSettings
    plan: Plan
    alias: str
    folder: Path
    replies: list[InferenceServed]
    labels: list[FeedbackGiven]
    workers: list[Process] = field(default_factory=list)

    def serve(self, share: slice = slice(None)) -> None:
        """The first share begins with the reference: it is in the log for a turn before anything else comes, for
        replies of one turn have no order among their partitions."""
        replies = self.replies[share]
        if not share.start:
            produce(self.kafka, INFERENCE, replies[: MONITOR.reference_events])
            time.sleep(self.plan.settings.turn_s)
            replies = replies[MONITOR.reference_events :]
        produce(self.kafka, INFERENCE, replies)
        produce(self.kafka, FEEDBACK, self.labels[share])

    def start(self, spot: Spot | None = None) -> Process:
        """One more worker, with a weak spot or without."""
        module = ("tests.streams.support.faults", msgspec.json.encode(spot).decode()) if spot else ()
        worker = Process(self.plan, self.folder / f"worker-{len(self.workers)}.log", *module)
        worker.start()
        self.workers.append(worker)
        return worker

    def drained(self) -> None:
        self.until(lambda: drained(self.kafka, self.plan.settings.app_id), "everything is acknowledged")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        wait(holds, what=what)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """All of them, the oldest first."""
        for worker in self.workers:
            worker.kill(how)

    def check(self) -> None:
        left_exactly(
            self.kafka, self.plan, self.alias, len(self.replies), len(self.labels), self.folder / "never disturbed"
        )

    def begun(self) -> bool:
        """Whether the lake has rows."""
        return self.plan.lake.table(INFERENCE) is not None

    def profiled(self) -> bool:
        """Whether the profiles have as many events as there are."""
        found = profiles(self.plan.storage.objects(), self.alias)
        return sum(max(each) for each in counted(found).values()) >= len(self.replies)

    def memories(self) -> list[JudgeRecord]:
        """All that were ever written, in the order of the log."""
        raws = [raw for partition in range(STATE.partitions) for raw in span(self.kafka, STATE, partition)]
        mine = [raw for raw in raws if raw.key == self.alias.encode()]
        return [codec.decode(JudgeRecord, raw.value) for raw in mine]


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A folder; with the parameter "s3" a bucket."""
    if getattr(request, "param", "folder") == "folder":
        return within(tmp_path)
    return Storage(request.getfixturevalue("s3").storage(tmp_path.name), tmp_path)


ON_BOTH = pytest.mark.parametrize("where", ["folder", "s3"], indirect=True)


@pytest.fixture
def scene(broker: EmbeddedKafka, where: Storage, tmp_path: Path) -> Iterator[Scene]:
    alias = f"t-{uuid.uuid4().hex[:10]}"
    settings = small(alias)
    made = Scene(
        broker.settings,
        Plan(broker.settings, settings, where, MONITOR, POLICY),
        alias,
        tmp_path,
        *life(alias),
    )
    yield made
    for worker in made.workers:
        worker.wake()
    made.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("where", "seams"),
    [("folder", INTAKE), ("s3", INTAKE), ("folder", JUDGEMENT)],
    indirect=["where"],
    ids=["intake", "intake, s3", "judgement"],
)
def test_a_worker_may_die_at_every_seam(scene: Scene, seams: Sequence[Spot]) -> None:
    scene.serve()
    for spot in seams:
        worker = scene.start(spot)
        scene.until(lambda worker=worker: worker.ended, f"death at {spot}")  # type: ignore[misc]
    scene.start()
    scene.drained()
    wait(scene.profiled, what="profiles of partitions in which nothing more came")
    scene.end()
    scene.check()


@ON_BOTH
def test_a_worker_that_froze_over_the_lake_and_wakes_writes_no_row_twice(scene: Scene) -> None:
    scene.plan.settings = replace(scene.plan.settings, profile_flush_s=1_000.0)  # both write theirs at the end
    scene.serve()
    frozen = scene.start(Spot("lake", "before", "freeze", nth=2))
    scene.until(lambda: frozen.frozen, "it froze")
    scene.start()
    scene.drained()
    frozen.wake()  # and it writes, by the table that it had loaded
    scene.end()  # it, and then its profiles, before it ends
    scene.check()


def test_a_worker_that_froze_over_its_memory_and_wakes_is_not_believed(scene: Scene) -> None:
    scene.serve(slice(0, 1_000))
    frozen = scene.start(Spot(STATE.name, "before", "freeze"))
    scene.until(lambda: frozen.frozen, "it froze")
    scene.serve(slice(1_000, 2_000))
    scene.start()
    scene.drained()
    frozen.wake()
    scene.until(lambda: scene.memories()[-1].covered < max(m.covered for m in scene.memories()), "it wrote late")
    scene.end(signal.SIGKILL)
    scene.serve(slice(2_000, None))
    scene.start()
    scene.drained()
    scene.end()
    scene.check()


@ON_BOTH
def test_partitions_may_be_taken_away_in_the_middle_of_a_batch(scene: Scene) -> None:
    scene.serve()
    slow = scene.start(Spot("lake", "before", "dawdle", nth=2))
    scene.until(lambda: scene.begun(), "it works")
    other = scene.start()
    scene.drained()
    assert [slow.ended, other.ended] == [False, False]
    scene.end()
    scene.check()


def test_a_worker_ends_though_its_client_does_not(scene: Scene) -> None:
    """As one that was told to end while it had no answer of the broker's: it took a minute and a half, longer than
    Kubernetes waits before it kills."""
    scene.serve()
    worker = scene.start(Spot("client"))
    scene.drained()
    began = time.monotonic()
    scene.end()
    assert time.monotonic() - began < 60
    assert worker.ended
    assert "is left behind" in (scene.folder / "worker-0.log").read_text()
    scene.check()


def test_the_broker_may_die_in_the_middle(scene: Scene, broker: EmbeddedKafka) -> None:
    scene.serve(slice(0, 1_200))
    worker = scene.start()
    scene.until(lambda: scene.begun(), "it works")
    child = processes.remembered(broker.name, broker.data_dir)
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    broker.stop()
    broker.start()
    scene.serve(slice(1_200, None))
    scene.until(lambda: worker.ended or drained(scene.kafka, scene.plan.settings.app_id), "an end")
    if worker.ended:  # whoever watches over it starts it again
        scene.start()
    scene.drained()
    scene.end()
    scene.check()


def test_scores_that_come_again_late_and_out_of_order_change_nothing(scene: Scene) -> None:
    scene.serve(slice(0, 2_000))
    scene.start()
    scene.drained()
    again(scene.kafka, scene.alias)
    scene.serve(slice(2_000, None))
    scene.drained()
    scene.end()
    scene.check()


def again(kafka: KafkaSettings, alias: str) -> None:
    """Sends half of the alias's scores a second time, shuffled."""
    raws = [raw for p in range(SCORES.partitions) for raw in span(kafka, SCORES, p) if _of(alias, raw)]
    producer = KafkaProducer(acks="all", **kafka.client)
    for raw in random.Random(1).sample(raws, len(raws) // 2):
        producer.send(SCORES.name, key=raw.key, value=raw.value, partition=raw.partition)
    producer.close()


def _of(alias: str, raw: Raw) -> bool:
    told = decode_scores(raw)
    return isinstance(told, ScoreBatch) and told.alias == alias
