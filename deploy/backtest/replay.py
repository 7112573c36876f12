"""A history past a policy: what it would have done. Pure.

The judge hears a history as it heard the log: replies, then the labels on them, through `streams.judge.step.step`. Its
clock is the time at which the log took an event, as far as the events' own times tell (`streams.lake.history`). Records
are heard many at once, because each costs; what leads to a decision is heard again one by one, for the exact moment.

The recorded replies are those of the recorded versions: what a retraining would have come to cannot be replayed. One
that the ledger knows ends as it ended then, and what operators said of alarms is said again at its time. Any other
retraining is taken to be under way until the recorded champion changes, which closes the case: no second one is asked
for as if the first had failed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from msgspec import structs

from deploy.backtest.outcome import Ended, Outcome, Said, told
from deploy.backtest.policies import Candidate
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
NOWHERE = Path("-")  # a replay writes no reports and reads no profiles
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Scored:
    """One topic's rows in order; offsets are their numbers in the replay."""

    rows: ScoreRows
    taken_ms: Sequence[int]

    def take(self, first: int, end: int) -> Scored:
        return Scored(self.rows.take(range(first, end)), self.taken_ms[first:end])


@dataclass(frozen=True, slots=True)
class Chunk:
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
    """A candidate in the middle of a history. `ended`: recorded ends of retrainings that are still to come; `said`:
    likewise what operators said."""

    candidate: Candidate
    memory: JudgeRecord
    ended: Mapping[str, Ended]
    known: frozenset[str]
    outcome: Outcome
    said: tuple[Said, ...] = ()
    count: int = 0  # records heard


def begin(candidate: Candidate, alias: str, ended: Sequence[Ended] = (), said: Sequence[Said] = ()) -> Replay:
    """Nothing heard."""
    ends = {each.request_id: each for each in ended}
    return Replay(candidate, start(alias), ends, frozenset(ends), Outcome(), tuple(said))


@dataclass(slots=True)
class Scorer:
    """Scores each event once, for all candidates with the same patterns. Offsets count on from slice to slice."""

    describe: Describer
    replies: int = 0
    labels: int = 0

    def score(self, slice: Slice) -> Iterator[Chunk]:
        """The slice cut into chunks."""
        served, _ = SERVED.score(list(enumerate(slice.replies, self.replies)), self.describe)
        given, _ = GIVEN.score(list(enumerate(slice.labels, self.labels)), self.describe)
        self.replies += len(served)
        self.labels += len(given)
        yield from cut(Chunk(Scored(served, slice.replies_ms), Scored(given, slice.labels_ms), self.describe.names))


def cut(whole: Chunk) -> Iterator[Chunk]:
    """In order, of at most so many rows and so much time; what came at one moment stays together."""
    times = sorted([*whole.replies.taken_ms, *whole.labels.taken_ms])
    replies = labels = 0
    while (first := replies + labels) < len(times):
        end = min(first + MOST_ROWS, bisect_left(times, times[first] + LONGEST_MS))
        until = max(times[end] if end < len(times) else times[-1] + 1, times[first] + 1)
        ends = bisect_left(whole.replies.taken_ms, until), bisect_left(whole.labels.taken_ms, until)
        yield Chunk(whole.replies.take(replies, ends[0]), whole.labels.take(labels, ends[1]), whole.names)
        replies, labels = ends


def hear(replay: Replay, chunk: Chunk) -> Replay:
    """The replay after this chunk."""
    known: list[Ended | Said] = [*replay.ended.values(), *replay.said]
    due = [each for each in known if each.time_ms <= chunk.end_ms]
    after = _all_heard(replay, _batches(replay, chunk))
    if not due and after.outcome == replay.outcome:
        return after
    return _all_heard(replay, _one_by_one(replay, chunk, due))


def _all_heard(replay: Replay, records: Iterator[tuple[int, JudgeInput]]) -> Replay:
    for time_ms, heard in records:
        replay = _heard(replay, heard, time_ms)
    return replay


def _heard(replay: Replay, heard: JudgeInput, time_ms: int) -> Replay:
    ended, said = replay.ended, replay.said
    if isinstance(heard, RetrainReported):
        ended = {id: each for id, each in ended.items() if id != heard.request_id}
    if isinstance(heard, AlarmAnswered):
        said = tuple(each for each in said if each.id != heard.id)
    topic = RESULTS if isinstance(heard, RetrainReported) else SCORES
    place = LogPosition(topic.name, 0, replay.count, time_ms)
    memory, effects = step(_rules(replay), replay.memory, heard, place)
    outcome = replay.outcome
    for entry in effects.decisions:
        outcome = told(outcome, entry)
    return Replay(replay.candidate, memory, ended, replay.known, outcome, said, replay.count + 1)


def _rules(replay: Replay) -> Rules:
    sections, case = replay.candidate.sections, replay.memory.policy.case
    unknown = case is not None and case.request_id and case.request_id not in replay.known
    return Rules(sections.monitor, _waiting(sections.policy) if unknown else sections.policy, NOWHERE, NOWHERE, HOUR_MS)


def _waiting(policy: PolicySettings) -> PolicySettings:
    """The policy while a retraining is under way of which nothing will be heard."""
    return replace(policy, retraining_timeout_s=NEVER_S)


def _batches(replay: Replay, chunk: Chunk) -> Iterator[tuple[int, JudgeInput]]:
    for source, scored in _parts(chunk):
        if len(scored.rows):
            rows = structs.replace(scored.rows, logged_ms=list(scored.taken_ms))
            yield chunk.end_ms, _batch(replay.memory.alias, source, rows, chunk.names)


def _one_by_one(replay: Replay, chunk: Chunk, due: Sequence[Ended | Said]) -> Iterator[tuple[int, JudgeInput]]:
    """Of one moment: replies, labels, then results and what operators said."""
    alias = replay.memory.alias
    found: list[tuple[int, int, JudgeInput]] = [
        (time_ms, turn, _batch(alias, source, scored.rows.take([i]), chunk.names))
        for turn, (source, scored) in enumerate(_parts(chunk))
        for i, time_ms in enumerate(scored.taken_ms)
    ]
    found += [(each.time_ms, 2, _due(alias, each)) for each in due]
    for time_ms, _, heard in sorted(found, key=itemgetter(0, 1)):
        yield time_ms, heard


def _parts(chunk: Chunk) -> tuple[tuple[IngestSource[Any], Scored], ...]:
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


def _due(alias: str, ended: Ended | Said) -> JudgeInput:
    if isinstance(ended, Said):
        return AlarmAnswered(id=ended.id, alias=alias, time_ms=ended.time_ms, answer=ended.answer)
    return RetrainReported(
        request_id=ended.request_id,
        alias=alias,
        status=RetrainStatus(ended.status),
        time_ms=ended.time_ms,
        by="ledger",
    )
