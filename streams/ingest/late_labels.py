"""Labels that the gateway could not judge meet their reply: among the rows that this worker took in and has not written
yet, else in the lake. Which labels wait is in the lake as well, so a worker that follows a killed one goes on there.

Nothing is held back for a label: it is a row like all others, and its judgement is an event that follows. A partition
is opened once its worker has taken in all that was in the log when it began; so it knows of every judgement that
another worker sent before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import structlog

from streams import codec, metrics
from streams.clock import now_ms
from streams.events import FeedbackGiven, InferenceServed
from streams.ingest.at_hand import decoded, rows_by_ids
from streams.ingest.judgement import LATER, Judge, Judged, LabelledReply, again, answered, judgement
from streams.ingest.judgement_outbox import confirmed
from streams.ingest.waiting import WaitingLabels
from streams.lake.lake import Lake
from streams.lake.unjudged import UnjudgedLabel, judgements, unjudged, unjudged_before
from streams.lake.writer import LakeWriter
from streams.log.dead_letters import QUEUES, letter, letter_id
from streams.log.outbox import Outbox, Outgoing, outgoing
from streams.log.read import Raw
from streams.topics import FEEDBACK, INFERENCE, KEPT_LONGER_S

log = structlog.get_logger()

TOGETHER = 500  # labels that are looked at together

NO_REPLY, NO_SCORE = "no reply with id {} came within {}", "the reply {} could not be judged within {}"


@dataclass(slots=True)
class LateLabels:
    """Judges the labels that wait. `replies` and `labels`: the writers of the worker's rows."""

    lake: Lake
    replies: LakeWriter
    labels: LakeWriter
    outbox: Outbox
    judges: Judge
    wait_s: int
    clock: Callable[[], int] = now_ms
    waiting: WaitingLabels = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = WaitingLabels(self.wait_s * 1_000)

    def taken(self, rows: pa.Table) -> None:
        """Note rows of feedback that are about to be written: those that wait, and those that judge."""
        self.waiting.add(unjudged(rows))
        self.waiting.judged(judgements(rows))
        metrics.LABELS_WAITING.set(len(self.waiting))

    def forget(self) -> None:
        """Drop what is known of partitions: some were taken away."""
        self.waiting.forget()

    async def open(self, partitions: Collection[int]) -> None:
        """Read which labels of these partitions wait; before, none of them is judged here. Raises what the lake
        raises, and may be called again then."""
        with self.waiting.opening(partitions) as fresh:
            if not fresh:
                return
            held = self.labels.held()
            parts = unjudged_before(self.lake, fresh, self._since())
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                self.waiting.add(part)
            for rows in held:
                self.waiting.add(unjudged(rows))
                self.waiting.judged(judgements(rows))

    async def judge(self) -> int:
        """Judge some of the labels that are due; return how many were looked at. Those without a reply are looked at
        again later, and are dead letters once their wait is over. Raises what the lake raises; they are due later
        then."""
        due = self.waiting.due(self.clock(), TOGETHER)
        settled: set[str] = set()
        try:
            if due:
                await self._judge(due, settled)
        finally:
            self.waiting.later([each for each in due if each.id not in settled], self.clock())
            metrics.LABELS_WAITING.set(len(self.waiting))
        return len(due)

    async def _judge(self, due: Sequence[UnjudgedLabel], settled: set[str]) -> None:
        """Send judgements and letters of labels, and note which are settled."""
        labels = await asyncio.to_thread(self._labels, due)
        self.waiting.judged(each.id for each in due if each.id not in labels)  # they were erased
        by_reply: dict[str, list[UnjudgedLabel]] = {}
        for each in due:
            if each.id in labels:
                by_reply.setdefault(each.event_id, []).append(each)
        unscored: set[str] = set()
        parts = rows_by_ids(self.lake, self.replies, INFERENCE, by_reply)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            replies = await asyncio.to_thread(decoded, InferenceServed, part)
            pairs = [(place, labels[place.id], reply) for reply in replies for place in by_reply[reply.id]]
            sent, waits = await self._scored(pairs)
            await self._send(sent, settled)
            unscored |= waits
        over = [each for each in due if each.id in labels and each.id not in settled and self._over(each)]
        await self._give_up([(each, labels[each.id]) for each in over], unscored, settled)

    def _labels(self, due: Sequence[UnjudgedLabel]) -> dict[str, FeedbackGiven]:
        parts = rows_by_ids(self.lake, self.labels, FEEDBACK, [each.id for each in due])
        return {label.id: label for part in parts for label in decoded(FeedbackGiven, part)}

    async def _scored(
        self, pairs: Sequence[tuple[UnjudgedLabel, FeedbackGiven, InferenceServed]]
    ) -> tuple[list[tuple[UnjudgedLabel, FeedbackGiven]], set[str]]:
        """Return the judgements of labels and their replies, and the labels whose metric knows no score yet."""
        rows = [answered(label, reply) for _, label, reply in pairs]
        asked = [row for row in rows if row is not None]
        found = iter(await self._judged(asked) if asked else ())
        sent, waits = [], set[str]()
        for (place, label, reply), row in zip(pairs, rows, strict=True):
            one = None if row is None else next(found)
            if one == LATER:
                waits.add(place.id)
            else:
                sent.append((place, judgement(label, reply, one)))
        return sent, waits

    async def _judged(self, rows: Sequence[LabelledReply]) -> Sequence[Judged]:
        try:
            return await self.judges(rows)
        except Exception:
            log.exception("labels cannot be judged, will be tried again", labels=len(rows))
            return [LATER] * len(rows)

    async def _give_up(
        self, labels: Sequence[tuple[UnjudgedLabel, FeedbackGiven]], unscored: Collection[str], settled: set[str]
    ) -> None:
        """The letter first: where only that is out, the next worker sends the same one."""
        letters = [
            _letter(place, label, NO_SCORE if place.id in unscored else NO_REPLY, self.wait_s)
            for place, label in labels
        ]
        await self.outbox.confirm(letters)
        metrics.DEAD_LETTERED.labels(FEEDBACK.name).inc(len(letters))
        await self._send([(place, judgement(label, None, None)) for place, label in labels], settled)

    async def _send(self, found: Sequence[tuple[UnjudgedLabel, FeedbackGiven]], settled: set[str]) -> None:
        settled |= await confirmed(self.outbox, found)

    def _over(self, label: UnjudgedLabel) -> bool:
        return self.waiting.over(label, self.clock())

    def _since(self) -> date:
        """The first day looked at: a worker may have been away for as long as labels wait, or two days."""
        back_s = self.wait_s + max(self.wait_s, KEPT_LONGER_S)
        return datetime.fromtimestamp(self.clock() / 1_000, UTC).date() - timedelta(seconds=back_s)


def _letter(place: UnjudgedLabel, label: FeedbackGiven, reason: str, wait_s: int) -> Outgoing:
    at = f"{place.partition}/{place.offset}"
    kept = codec.encode(again(label, at))
    raw = Raw(place.partition, place.offset, place.since_ms, label.event_id.encode(), kept)
    found = letter(FEEDBACK, raw, reason.format(label.event_id, _days(wait_s)))
    log.warning("dead letter", topic=FEEDBACK.name, partition=raw.partition, offset=raw.offset, reason=found.reason)
    return outgoing(QUEUES[FEEDBACK.name], found, id=letter_id(found), time_ms=found.time_ms)


def _days(seconds: int) -> str:
    return f"{seconds / 86_400:.3g} days"
