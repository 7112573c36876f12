"""A judge model behind a real server scores a share of the replies: once, whoever dies, and never by guessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.selection.audit import chosen
from streams import codec
from streams.events import FeedbackGiven, InferenceServed, ScoreBatch
from streams.ingest.agent import IngestAgent
from streams.ingest.judged_replies import OVER, WAIT_S, ScoredReplies
from streams.ingest.prepare import GIVEN, SERVED
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.log.read import Raw
from streams.metrics import REPLIES_UNSCORED
from streams.objects.opening import Storage
from streams.scoring.judges import ReplyJudges
from streams.scoring.settings import ScoringSettings
from streams.topics import FEEDBACK, SCORES
from tests.streams.support.fakes import LOGGED_MS, Died, FakeLog, raws
from tests.streams.support.judge_server import JudgeServer
from tests.streams.support.traffic import served, small

SHARE, NAME = 0.5, "judge/tone by gpt"
REPLIES = [replace(served("support", i), output=f"answer {i}", time_ms=LOGGED_MS, comparable=True) for i in range(40)]
MINE = [reply.id for reply in REPLIES if chosen(reply.id, SHARE)]


class JudgingWorker:
    """One worker of a log that outlives it: replies are taken in, what it sends comes back."""

    def __init__(self, storage: Storage, log: FakeLog, judges: ReplyJudges, feedback: list[Raw] | None = None) -> None:
        self.log, self.feedback, self.now_ms = log, [] if feedback is None else feedback, LOGGED_MS + 60_000
        self.read, self.sent = 0, len(log.of(FEEDBACK))
        settings = small("judged", recent_offsets=1_000, profile_flush_s=1_000.0)
        self.replies = IngestAgent(SERVED, settings, storage, log, lambda partition, first, end: [])
        self.labels = IngestAgent(GIVEN, settings, storage, log, lambda partition, first, end: self.feedback[first:end])
        self.judged = ScoredReplies(
            Lake.of(storage), self.replies.writer, self.labels.writer, log, judges, lambda: self.now_ms
        )
        self.replies.taken, self.labels.taken = self.judged.served, self.judged.given

    async def serve(self, replies: list[InferenceServed], *, written: bool = True) -> None:
        await self.replies.send(await self.replies.prepare(raws(replies)))
        if written:
            await self.replies.commit()

    async def look(self) -> None:
        """Take in what the log has of feedback, look at all replies that are due, and let the log have what is sent."""
        if waiting := self.feedback[self.read :]:
            await self.labels.send(await self.labels.prepare(waiting))
            await self.labels.commit()
            self.read = len(self.feedback)
        await self.judged.open([0])
        try:
            while await self.judged.judge():
                pass
        finally:
            sent = [codec.decode(FeedbackGiven, record.value) for record in self.log.of(FEEDBACK)[self.sent :]]
            self.sent += len(sent)
            self.feedback += raws(sent, 0, len(self.feedback))


@pytest.fixture
async def server() -> AsyncIterator[JudgeServer]:
    async with JudgeServer().serving() as found:
        yield found


@pytest.fixture
def judges(server: JudgeServer, tmp_path: Path) -> ReplyJudges:
    return made(server, tmp_path)


def made(server: JudgeServer, path: Path, **changes: Any) -> ReplyJudges:
    (path / "tone.md").write_text("Polite, and to the point.")
    table = {"rubric": path / "tone.md", "url": server.url, "model": "gpt", "share": SHARE, "back_off_s": 0.001}
    return ReplyJudges(ScoringSettings(judges={"support": table | {"again_s": 0} | changes}), path)


def scored(log: FakeLog) -> Counter[tuple[str, float]]:
    """What the monitor would take: each score above its watermark."""
    done, found = 0, Counter[tuple[str, float]]()
    for record in log.of(SCORES):
        batch = codec.decode(ScoreBatch, record.value)
        if batch.source_topic == FEEDBACK.name:
            rows = batch.rows.after(done)
            done = max(done, batch.last_offset + 1)
            assert rows.origins == [NAME] * len(rows)
            assert not any(rows.complaints)
            found.update((id, loss) for id, loss in zip(rows.ids, rows.losses, strict=True) if loss is not None)
    return found


ONCE = Counter({(id, 0.25): 1 for id in MINE})


async def test_a_share_is_scored_without_a_truth_whether_or_not_it_is_in_the_lake(
    storage: Storage, server: JudgeServer, judges: ReplyJudges
) -> None:
    log = FakeLog()
    worker = JudgingWorker(storage, log, judges)
    await worker.look()
    await worker.serve(REPLIES, written=False)
    await worker.look()
    await worker.look()
    assert scored(log) == ONCE
    assert all("(not known)" in prompt for prompt in server.prompts)
    assert len(worker.judged.waiting) == 0


async def test_only_whole_replies_of_the_champion_are_asked_about(storage: Storage, judges: ReplyJudges) -> None:
    log = FakeLog()
    worker = JudgingWorker(storage, log, judges)
    changes = ({"status": 500}, {"arm": Arm.CANARY}, {"arm": Arm.SHADOW}, {"comparable": False}, {"alias": "other"})
    others = [replace(REPLIES[i], **changes[i % len(changes)]) for i in range(len(REPLIES))]
    await worker.serve(others)
    await worker.look()
    assert [judges.asked(each) for each in others] == [""] * len(others)
    assert log.of(FEEDBACK) == []


@pytest.mark.parametrize("dies_at", range(6))
async def test_whoever_dies_each_reply_is_scored_once(
    storage: Storage, server: JudgeServer, tmp_path: Path, dies_at: int
) -> None:
    """Each time another worker goes on, with nothing but the log and the lake."""
    log, feedback = FakeLog(dies_at), list[Raw]()
    for _ in range(3):
        worker = JudgingWorker(storage, log, made(server, tmp_path), feedback)
        try:
            await worker.serve(REPLIES)
            await worker.look()
            await worker.look()
        except Died:
            continue
    assert scored(log) == ONCE
    assert len(server.bodies) == len(MINE), "what was asked before is remembered"


async def test_a_judge_that_is_away_leaves_replies_for_later_and_they_are_scored_then(
    storage: Storage, server: JudgeServer, judges: ReplyJudges
) -> None:
    log = FakeLog()
    worker = JudgingWorker(storage, log, judges)
    server.statuses = [503] * 10_000
    await worker.serve(REPLIES)
    await worker.look()
    assert log.of(FEEDBACK) == []
    assert len(worker.judged.waiting) == len(MINE)
    server.statuses = []
    worker.now_ms += 60_000
    await worker.look()
    await worker.look()
    assert scored(log) == ONCE


async def test_after_a_day_a_reply_is_counted_and_no_more(
    storage: Storage, server: JudgeServer, judges: ReplyJudges
) -> None:
    log, before = FakeLog(), REPLIES_UNSCORED.labels(OVER)._value.get()
    worker = JudgingWorker(storage, log, judges)
    server.statuses = [503] * 10_000
    await worker.serve(REPLIES)
    await worker.look()
    server.statuses, worker.now_ms = [], worker.now_ms + 1_000 * WAIT_S
    await worker.look()
    assert (log.of(FEEDBACK), len(worker.judged.waiting)) == ([], 0)
    assert REPLIES_UNSCORED.labels(OVER)._value.get() == before + len(MINE)


async def test_nonsense_is_no_score_and_is_asked_once(
    storage: Storage, server: JudgeServer, judges: ReplyJudges
) -> None:
    log = FakeLog()
    server.content = "excellent!"
    worker = JudgingWorker(storage, log, judges)
    await worker.serve(REPLIES)
    await worker.look()
    await worker.look()
    asked = len(server.bodies)
    follower = JudgingWorker(storage, log, judges, worker.feedback)
    await follower.look()
    await follower.look()
    assert scored(log) == Counter()
    assert sorted(event.event_id for event in log.events(FEEDBACK) if isinstance(event, FeedbackGiven)) == sorted(MINE)
    assert len(server.bodies) == asked


async def test_the_budget_ends_and_the_rest_waits(storage: Storage, server: JudgeServer, tmp_path: Path) -> None:
    log = FakeLog()
    worker = JudgingWorker(storage, log, made(server, tmp_path, calls_per_day=5))
    await worker.serve(REPLIES)
    await worker.look()
    await worker.look()
    assert scored(log).total() == len(server.bodies) == 5
    assert len(worker.judged.waiting) == len(MINE) - 5
