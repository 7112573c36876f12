"""A small life of an alias, as records of the scores topic: healthy, labelled, then harmed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import Event, FeedbackGiven, InferenceServed, PartitionsPassed, RetrainReported, ScoreBatch
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, prepare
from streams.judge.ordering import decode_scores
from streams.judge.step import JudgeInput, LogPosition, Rules
from streams.kinds import RetrainStatus
from streams.log.chunks import Chunk
from streams.log.read import Raw
from streams.topics import ALARMS, FEEDBACK, INFERENCE, LEDGER, REQUESTS, RESULTS, SCORES, WINDOWS
from tests.streams.support.fakes import FakeLog, raws
from tests.streams.support.traffic import feedback, served

RULES = Rules(
    monitor=MonitorSettings(reference_events=200, window_s=10),
    policy=PolicySettings(min_fresh_labels=40),
    reports="var/reports",
    profiles="var/profiles",
    profile_window_ms=3_600_000,
)
EFFECTS = (LEDGER, ALARMS, WINDOWS, REQUESTS)
STEP, EVERY_MS = 50, 100
HEALTHY, HARMED = 400, 200


def life(alias: str = "support") -> tuple[list[InferenceServed], list[FeedbackGiven]]:
    """Replies and their labels: right nine times in ten, then one time in two."""
    replies = [served(alias, i) for i in range(HEALTHY + HARMED)]
    right = [i % 10 != 0 if i < HEALTHY else i % 2 == 0 for i in range(len(replies))]
    return replies, [feedback(reply, ok) for reply, ok in zip(replies, right, strict=True)]


def batches(alias: str = "support") -> list[ScoreBatch]:
    """What ingest makes of a life: replies and labels by turns."""
    replies, labels = life(alias)
    found = []
    for first in range(0, len(replies), STEP):
        cut = slice(first, first + STEP)
        served_ = prepare(SERVED, RecentIds(1_000), raws(replies[cut], 0, first, EVERY_MS))
        given = prepare(GIVEN, RecentIds(1_000), raws(labels[cut], 1, first, EVERY_MS))
        found += [*served_.built.scores, *given.built.scores]
    return [codec.decode(ScoreBatch, record.value) for record in found]


def records(alias: str = "support") -> list[tuple[str, Raw]]:
    """The scores as the judge agent takes them, after each two of them that all partitions have passed them, and how
    the retraining ended."""
    events: list[Event] = []
    last_ms = 0
    for each in batches(alias):
        events.append(each)
        if each.source_topic == FEEDBACK.name:
            last_ms = each.rows.logged_ms[-1]
            events.append(passed(last_ms + 1_000))
    scored = [(SCORES.name, Raw(0, i, last_ms, b"", codec.encode(event))) for i, event in enumerate(events)]
    return [*scored, (RESULTS.name, Raw(0, 0, last_ms + 1, b"", codec.encode(rejected(alias, "unknown"))))]


def passed(passed_ms: int) -> PartitionsPassed:
    """All partitions of a life are past this time."""
    origins = f"{INFERENCE.name}/0", f"{FEEDBACK.name}/0", f"{FEEDBACK.name}/1"
    return PartitionsPassed(
        worker="worker",
        passed_ms=dict.fromkeys(origins, passed_ms),
        partitions={INFERENCE.name: 1, FEEDBACK.name: 2},
    )


def rejected(alias: str, request_id: str) -> RetrainReported:
    return RetrainReported(
        request_id=request_id, alias=alias, status=RetrainStatus.REJECT, time_ms=1, by="trainer", reason="not better"
    )


def positioned(taken: list[tuple[str, Raw]]) -> Iterator[tuple[JudgeInput, LogPosition]]:
    """The judge's input, in the order in which it came, with its place in the log."""
    for name, raw in taken:
        event = decode_scores(raw) if name == SCORES.name else codec.decode(RetrainReported, raw.value)
        if not isinstance(event, PartitionsPassed):
            yield event, LogPosition(name, raw.partition, raw.offset, raw.timestamp_ms)


def chunks(records: Sequence[tuple[str, Raw]]) -> list[Chunk]:
    """As the consumer delivers them: of each topic one."""
    found = []
    for name in dict.fromkeys(name for name, _ in records):
        raws = [raw for topic, raw in records if topic == name]
        found.append(Chunk(name, raws[0].partition, raws[0].offset, raws[-1].offset + 1, raws, len(raws), 1))
    return found


def once(log: FakeLog) -> dict[str, list[Event]]:
    """The effects, each id once."""
    return {
        topic.name: list({event.id: event for event in log.events(topic)}.values())  # type: ignore[attr-defined]
        for topic in EFFECTS
    }
