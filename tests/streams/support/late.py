"""A worker's way with late labels, without Kafka: replies and labels are taken in, what it sends comes back."""

from __future__ import annotations

from collections.abc import Sequence

from streams import codec
from streams.events import DeadLetter, FeedbackGiven, InferenceServed, ScoreBatch
from streams.ingest.agent import IngestAgent
from streams.ingest.judgement import Judge, by_metric
from streams.ingest.late_labels import LateLabels
from streams.ingest.prepare import GIVEN, SERVED
from streams.lake.lake import Lake
from streams.log.read import Raw
from streams.objects.opening import Storage
from streams.scoring.scorer import Scorers
from streams.scoring.settings import ScoringSettings
from streams.topics import FEEDBACK, FEEDBACK_DLQ, SCORES
from tests.streams.support.fakes import LOGGED_MS, FakeLog, raws
from tests.streams.support.traffic import small

WEEK_S = 604_800
NOW_MS = LOGGED_MS + 60_000


class LateWorker:
    """One worker of a log that outlives it. `feedback`: what the log has of labels; `now_ms`: its clock."""

    def __init__(
        self,
        storage: Storage,
        log: FakeLog,
        feedback: list[Raw] | None = None,
        metrics: dict[str, str] | None = None,
        judge: Judge | None = None,
        wait_s: int = WEEK_S,
    ) -> None:
        self.log, self.feedback, self.now_ms = log, [] if feedback is None else feedback, NOW_MS
        self.read, self.sent = 0, len(log.of(FEEDBACK))
        settings = small("late", recent_offsets=1_000, profile_flush_s=1_000.0)
        self.replies = IngestAgent(SERVED, settings, storage, log, lambda partition, first, end: [])
        self.labels = IngestAgent(GIVEN, settings, storage, log, self._tail)
        self.late = LateLabels(
            Lake.of(storage),
            self.replies.writer,
            self.labels.writer,
            log,
            judge or by_metric(Scorers(ScoringSettings(metrics=metrics or {}), storage.var)),
            wait_s,
            lambda: self.now_ms,
        )
        self.labels.taken = self.late.taken

    async def serve(self, replies: Sequence[InferenceServed], first: int = 0, *, written: bool = True) -> None:
        """Take in replies."""
        await self.replies.send(await self.replies.prepare(raws(replies, 0, first)))
        if written:
            await self.replies.commit()

    def given(self, labels: Sequence[FeedbackGiven]) -> None:
        """Let the log have labels."""
        self.feedback += raws(labels, 0, len(self.feedback))

    async def take(self, *, written: bool = True) -> None:
        """Take in what the log has of labels and judgements, from where it stopped."""
        if waiting := self.feedback[self.read :]:
            await self.labels.send(await self.labels.prepare(waiting))
            self.read = len(self.feedback)
        if written:
            await self.labels.commit()

    async def look(self) -> None:
        """Look at all labels that are due, and let the log have what is sent."""
        await self.late.open([0])
        try:
            while await self.late.judge():
                pass
        finally:
            self.echo()

    def echo(self) -> None:
        """What was sent is in the log."""
        sent = [codec.decode(FeedbackGiven, record.value) for record in self.log.of(FEEDBACK)[self.sent :]]
        self.sent += len(sent)
        self.given(sent)

    def _tail(self, partition: int, first: int, end: int) -> Sequence[Raw]:
        return self.feedback[first:end]


def judged(log: FakeLog) -> list[tuple[str, float]]:
    """What the judge would take: labels above its watermark that have a loss."""
    done, found = 0, list[tuple[str, float]]()
    for record in log.of(SCORES):
        scores = codec.decode(ScoreBatch, record.value)
        if scores.source_topic == FEEDBACK.name:
            rows = scores.rows.after(done)
            done = max(done, scores.last_offset + 1)
            found += [(id, loss) for id, loss in zip(rows.ids, rows.losses, strict=True) if loss is not None]
    return found


def letters(log: FakeLog) -> dict[tuple[int, int], str]:
    """The reasons of dead letters, by partition and offset."""
    found = [codec.decode(DeadLetter, record.value) for record in log.of(FEEDBACK_DLQ)]
    return {(each.partition, each.offset): each.reason for each in found}
