"""A history, replayed past a policy. Pure.

The judge takes a history as it took the log: replies, then the labels on them, through `streams.judge.step.step`. Its
clock is the time at which the log took an event, as far as the events' own times show it (`streams.lake.history`).
Many records are taken at once, because each costs; where they lead to a decision they are taken again one by one, for
its exact time.

The recorded replies are those of the recorded versions: the effect of a retraining cannot be replayed. A retraining
that the ledger knows ends as it ended then, and operators' answers to alarms come again at their time. Any other
retraining is taken to be under way until the recorded champion changes, which closes the case: no second one is asked
for as if the first had failed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from msgspec import structs

from deploy.backtest.outcome import EndedRetraining, PolicyOutcome, RecordedAnswer, with_decision
from deploy.backtest.policies import Policy
from monitor.describe.descriptors import Describer
from monitor.rows import ScoreRows
from monitor.settings import PolicySettings
from streams.events import AlarmAnswered, RetrainReported, ScoreBatch
from streams.ingest.prepare import GIVEN, SERVED, IngestSource
from streams.judge.memory import JudgeRecord, start
from streams.judge.step import JudgeInput, LogPosition, Rules, step
from streams.kinds import RetrainStatus
from streams.lake.history import Slice
from streams.topics import RESULTS, SCORES

MOST_ROWS = 250
LONGEST_MS = 3_600_000
NEVER_S = 100 * 365 * 86_400
NOWHERE = "-"  # a replay writes no reports and reads no profiles
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Scored:
    """The rows of one topic in order; offsets are their numbers in the replay."""

    rows: ScoreRows
    taken_ms: Sequence[int]

    def take(self, first: int, end: int) -> Scored:
        """Return the rows from `first` up to `end`."""
        return Scored(self.rows.take(range(first, end)), self.taken_ms[first:end])


@dataclass(frozen=True, slots=True)
class HistoryChunk:
    """Replies and labels that the log took at about the same time. `names`: of the replies' descriptors."""

    replies: Scored
    labels: Scored
    names: tuple[str, ...]

    @property
    def rows(self) -> int:
        return len(self.replies.rows) + len(self.labels.rows)

    @property
    def end_ms(self) -> int:
        return max(*self.replies.taken_ms[-1:], *self.labels.taken_ms[-1:], 0)


@dataclass(frozen=True, slots=True)
class Replay:
    """A policy in the middle of a history. `ended`: recorded ends of retrainings that are still to come; `answers`:
    likewise the answers of operators."""

    policy: Policy
    memory: JudgeRecord
    ended: Mapping[str, EndedRetraining]
    known: frozenset[str]
    outcome: PolicyOutcome
    answers: tuple[RecordedAnswer, ...] = ()
    count: int = 0  # records taken


def begin(
    policy: Policy, alias: str, ended: Sequence[EndedRetraining] = (), answers: Sequence[RecordedAnswer] = ()
) -> Replay:
    """Return a replay before its first record."""
    ends = {each.request_id: each for each in ended}
    return Replay(policy, start(alias), ends, frozenset(ends), PolicyOutcome(), tuple(answers))


@dataclass(slots=True)
class HistoryScorer:
    """A scorer of each event, once for all policies with the same patterns. Offsets count on from slice to slice."""

    describe: Describer
    replies: int = 0
    labels: int = 0

    def score(self, slice: Slice) -> Iterator[HistoryChunk]:
        """Score a slice and cut it into chunks."""
        served, _ = SERVED.score(list(enumerate(slice.replies, self.replies)), self.describe)
        given, _ = GIVEN.score(list(enumerate(slice.labels, self.labels)), self.describe)
        self.replies += len(served)
        self.labels += len(given)
        yield from cut(
            HistoryChunk(Scored(served, slice.replies_ms), Scored(given, slice.labels_ms), self.describe.names)
        )


def cut(whole: HistoryChunk) -> Iterator[HistoryChunk]:
    """Cut into chunks of at most MOST_ROWS and LONGEST_MS, in order; records of one moment stay together."""
    times = sorted([*whole.replies.taken_ms, *whole.labels.taken_ms])
    replies = labels = 0
    while (first := replies + labels) < len(times):
        end = min(first + MOST_ROWS, bisect_left(times, times[first] + LONGEST_MS))
        until = max(times[end] if end < len(times) else times[-1] + 1, times[first] + 1)
        ends = bisect_left(whole.replies.taken_ms, until), bisect_left(whole.labels.taken_ms, until)
        yield HistoryChunk(whole.replies.take(replies, ends[0]), whole.labels.take(labels, ends[1]), whole.names)
        replies, labels = ends


def advance(replay: Replay, chunk: HistoryChunk) -> Replay:
    """Return the replay after this chunk."""
    known: list[EndedRetraining | RecordedAnswer] = [*replay.ended.values(), *replay.answers]
    due = [each for each in known if each.time_ms <= chunk.end_ms]
    after = _through(replay, _batches(replay, chunk))
    if not due and after.outcome == replay.outcome:
        return after
    return _through(replay, _one_by_one(replay, chunk, due))


def _through(replay: Replay, records: Iterator[tuple[int, JudgeInput]]) -> Replay:
    for time_ms, record in records:
        replay = _take(replay, record, time_ms)
    return replay


def _take(replay: Replay, record: JudgeInput, time_ms: int) -> Replay:
    ended, answers = replay.ended, replay.answers
    if isinstance(record, RetrainReported):
        ended = {id: each for id, each in ended.items() if id != record.request_id}
    if isinstance(record, AlarmAnswered):
        answers = tuple(each for each in answers if each.id != record.id)
    topic = RESULTS if isinstance(record, RetrainReported) else SCORES
    place = LogPosition(topic.name, 0, replay.count, time_ms)
    memory, effects = step(_rules(replay), replay.memory, record, place)
    outcome = replay.outcome
    for entry in effects.decisions:
        outcome = with_decision(outcome, entry)
    return Replay(replay.policy, memory, ended, replay.known, outcome, answers, replay.count + 1)


def _rules(replay: Replay) -> Rules:
    sections, case = replay.policy.sections, replay.memory.policy.case
    unknown = case is not None and case.request_id and case.request_id not in replay.known
    return Rules(sections.monitor, _waiting(sections.policy) if unknown else sections.policy, NOWHERE, NOWHERE, HOUR_MS)


def _waiting(policy: PolicySettings) -> PolicySettings:
    """Return the policy's settings while a retraining is under way that the record does not know."""
    return replace(policy, retraining_timeout_s=NEVER_S)


def _batches(replay: Replay, chunk: HistoryChunk) -> Iterator[tuple[int, JudgeInput]]:
    for source, scored in _parts(chunk):
        if len(scored.rows):
            rows = structs.replace(scored.rows, logged_ms=list(scored.taken_ms))
            yield chunk.end_ms, _batch(replay.memory.alias, source, rows, chunk.names)


def _one_by_one(
    replay: Replay, chunk: HistoryChunk, due: Sequence[EndedRetraining | RecordedAnswer]
) -> Iterator[tuple[int, JudgeInput]]:
    """Yield record by record; of one moment first replies, then labels, then results and operators' answers."""
    alias = replay.memory.alias
    found: list[tuple[int, int, JudgeInput]] = [
        (time_ms, turn, _batch(alias, source, scored.rows.take([i]), chunk.names))
        for turn, (source, scored) in enumerate(_parts(chunk))
        for i, time_ms in enumerate(scored.taken_ms)
    ]
    found += [(each.time_ms, 2, _due(alias, each)) for each in due]
    for time_ms, _, record in sorted(found, key=itemgetter(0, 1)):
        yield time_ms, record


def _parts(chunk: HistoryChunk) -> tuple[tuple[IngestSource[Any], Scored], ...]:
    return (SERVED, chunk.replies), (GIVEN, chunk.labels)


def _batch(alias: str, source: IngestSource[Any], rows: ScoreRows, names: Sequence[str]) -> ScoreBatch:
    return ScoreBatch(
        alias=alias,
        source_topic=source.topic.name,
        partition=0,
        first_offset=rows.offsets[0],
        last_offset=rows.offsets[-1],
        descriptor_names=list(names) if source.name == "inference" else [],
        rows=rows,
    )


def _due(alias: str, ended: EndedRetraining | RecordedAnswer) -> JudgeInput:
    if isinstance(ended, RecordedAnswer):
        return AlarmAnswered(id=ended.id, alias=alias, time_ms=ended.time_ms, answer=ended.answer)
    return RetrainReported(
        request_id=ended.request_id,
        alias=alias,
        status=RetrainStatus(ended.status),
        time_ms=ended.time_ms,
        by="ledger",
    )
