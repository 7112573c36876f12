"""Replies that a judge model scores without a label: a hashed share of the champion's.

A score is an event of its own, a row of feedback in the reply's partition, with an id that follows from the reply's. So
a reply is scored once, whichever worker asks: what is sent twice is a duplicate by its id. Which replies wait is in the
lake, so a worker that follows a killed one goes on there, once it has taken in all scores that were sent before.

It is a task of the worker: the worker has the reply at hand, and Kafka gives each partition to one worker. Nothing
waits for a judge: it is asked once the rows are scored and on their way into the lake, texts and prompts are read in
threads, and of what waits ids alone are held. A judge that is away leaves replies unscored: they are tried again for
a day, then counted; never taken for wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pyarrow as pa
import structlog

from monitor.losses import of_score
from monitor.selection.sources import JUDGE
from streams import codec, metrics
from streams.clock import now_ms
from streams.events import FeedbackGiven, InferenceServed
from streams.ingest.at_hand import decoded, rows_by_ids
from streams.ingest.judgement_outbox import confirmed
from streams.ingest.waiting import WaitingLabels
from streams.lake.lake import Lake
from streams.lake.unjudged import UnjudgedLabel
from streams.lake.unscored import scores, unscored, unscored_before
from streams.lake.writer import LakeWriter
from streams.log.outbox import Outbox
from streams.scoring import rows as scoring_rows
from streams.scoring.judges import ReplyJudges
from streams.scoring.rows import Unjudged, served_row
from streams.topics import INFERENCE

log = structlog.get_logger()

TOGETHER = 64  # replies that judges are asked about at once
WAIT_S = 86_400  # an older reply is not scored any more: what it would tell is old
OVER = "waited a day"


@dataclass(slots=True)
class ScoredReplies:
    """Asks judge models about the replies that wait for it. `replies`, `feedback`: the writers of the worker's rows."""

    lake: Lake
    replies: LakeWriter
    feedback: LakeWriter
    outbox: Outbox
    judges: ReplyJudges
    clock: Callable[[], int] = now_ms
    waiting: WaitingLabels = field(default_factory=lambda: WaitingLabels(WAIT_S * 1_000))

    def served(self, rows: pa.Table) -> None:
        """Note rows of replies that are about to be written."""
        self.waiting.add(self._unscored(rows))

    def given(self, rows: pa.Table) -> None:
        """Note rows of feedback that are about to be written: the scores among them."""
        self.waiting.judged(scores(rows))
        metrics.REPLIES_WAITING.set(len(self.waiting))

    def forget(self) -> None:
        """Drop what is known of partitions: some were taken away."""
        self.waiting.forget()

    async def open(self, partitions: Collection[int]) -> None:
        """Read which replies of these partitions wait; before, none of them is scored here. Raises what the lake
        raises, and may be called again then."""
        with self.waiting.opening(partitions) as fresh:
            if not fresh:
                return
            held, given = self.replies.held(), self.feedback.held()
            parts = unscored_before(self.lake, fresh, self._since(), self.judges.aliases, self.judges.chosen)
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                self.waiting.add(part)
            for rows in held:
                self.waiting.add(self._unscored(rows))
            for rows in given:
                self.waiting.judged(scores(rows))

    async def judge(self) -> int:
        """Score some of the replies that are due; return how many were looked at. Raises what the lake raises;
        they are due later then."""
        due = self.waiting.due(self.clock(), TOGETHER)
        settled: set[str] = set()
        try:
            if due:
                await self._judge(self._in_time(due), settled)
        finally:
            self.waiting.later([each for each in due if each.id not in settled], self.clock())
            metrics.REPLIES_WAITING.set(len(self.waiting))
        return len(due)

    def _in_time(self, due: Sequence[UnjudgedLabel]) -> dict[str, UnjudgedLabel]:
        """Return those that are not too old; of the others nothing is kept but their count."""
        over = [each for each in due if self.waiting.over(each, self.clock())]
        self.waiting.judged(each.id for each in over)
        metrics.REPLIES_UNSCORED.labels(OVER).inc(len(over))
        return {each.id: each for each in due if each not in over}

    async def _judge(self, due: Mapping[str, UnjudgedLabel], settled: set[str]) -> None:
        parts = rows_by_ids(self.lake, self.replies, INFERENCE, due)
        known: set[str] = set()
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            found = await asyncio.to_thread(decoded, InferenceServed, part)
            known.update(each.id for each in found)
            by_alias: dict[str, list[InferenceServed]] = {}
            for each in found:
                by_alias.setdefault(each.alias, []).append(each)
            await asyncio.gather(*(self._scored(alias, mine, due, settled) for alias, mine in by_alias.items()))
        self.waiting.judged(due.keys() - known)  # they were erased

    async def _scored(
        self, alias: str, replies: Sequence[InferenceServed], due: Mapping[str, UnjudgedLabel], settled: set[str]
    ) -> None:
        """Ask the alias's judge, and send what it says. No alias loses its scores because another's judge fails."""
        judge, asked = self.judges.of(alias), [self.judges.asked(each) for each in replies]
        try:
            found = await judge.scores(await asyncio.to_thread(lambda: [served_row(each) for each in replies]))
        except Exception:
            log.exception("replies cannot be scored, will be tried again", alias=alias, replies=len(replies))
            return
        sent = [
            (due[reply.id], score(reply, name, judge.name, one, self.clock()))
            for reply, name, one in zip(replies, asked, found, strict=True)
            if one not in scoring_rows.LATER
        ]
        for one in found:
            if isinstance(one, Unjudged) and one not in scoring_rows.LATER:
                metrics.REPLIES_UNSCORED.labels(one.value).inc()
        settled |= await confirmed(self.outbox, sent)

    def _unscored(self, rows: pa.Table) -> list[UnjudgedLabel]:
        return unscored(rows, self.judges.aliases, self.judges.chosen)

    def _since(self) -> date:
        """The first day looked at."""
        return datetime.fromtimestamp(self.clock() / 1_000 - WAIT_S, UTC).date()


def score(reply: InferenceServed, judge: str, metric: str, found: float | Unjudged, time_ms: int) -> FeedbackGiven:
    """Return the event of a judge's score; without a loss it says that there is none."""
    return FeedbackGiven(
        id=codec.deterministic_id("judge", judge, reply.id),
        event_id=reply.id,
        time_ms=time_ms,
        alias=reply.alias,
        version=reply.version,
        arm=reply.arm,
        assigned=reply.assigned,
        by=JUDGE,
        source=JUDGE,
        origin=judge,
        loss=None if isinstance(found, Unjudged) else of_score(found),
        metric=metric,
        user=reply.user,
        conversation=reply.conversation,
    )
