"""Labels that alarms ask for: which replies they are, and what a reviewer says of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa

from monitor.characters import blank
from monitor.describe.pii import PLACEHOLDERS
from monitor.metrics import METRICS, exact_match
from serving.gateway.feedback import LONGEST, RIGHT
from serving.gateway.masking import Masker
from streams import codec
from streams.clock import now_ms
from streams.events import AlarmRaised, FeedbackGiven, InferenceServed, comparable
from streams.files import utf8
from streams.lake import table as lake
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, FEEDBACK, INFERENCE

REVIEWER = "reviewer"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that somebody should judge; `label` is empty, to be filled in: what the answer should have been."""

    id: str
    question: str
    answer: str
    label: str = ""
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """How answers are judged, and what is masked in labels before they leave."""

    metrics: Mapping[str, str]  # by alias; exact_match for the others
    masker: Masker


def wanted(kafka: KafkaSettings, root: Path, alias: str) -> list[Wanted]:
    """The replies that the alias's alarms ask labels for and that have none, those of the newest alarm first."""
    asked: dict[str, AlarmRaised] = {}
    for record in reversed(read(kafka, ALARMS, AlarmRaised)):
        if record.event.alias == alias:
            asked |= {id: record.event for id in record.event.evidence.get("label_first", []) if id not in asked}
    rows = _replies(root, alias, asked)
    told = _judged(root, alias, rows) if rows else set()
    return [
        Wanted(id=id, question=lake.question(rows[id].input_messages), answer=rows[id].output, alarm=alarm.summary)
        for id, alarm in asked.items()
        if id in rows and id not in told and _comparable(rows[id])
    ]


def give(kafka: KafkaSettings, root: Path, path: Path, alias: str, answers: Answers) -> tuple[int, int]:
    """Sends the labels of a file as `wanted` gave it: how many, and how many rows had none. ValueError names the line
    that is wrong, before anything is sent; giving the same labels again changes nothing."""
    filled, empty = [], 0
    for number, row in _rows(path):
        empty += blank(row.label)
        if not blank(row.label):
            filled.append((number, row))
    rows = _replies(root, alias, [row.id for _, row in filled])
    events = [_event(path, number, row, rows, answers) for number, row in filled]
    with closing(Appender(kafka, "cli")) as appender:
        for event in events:
            appender.append(FEEDBACK, event, id=event.id, time_ms=event.time_ms)
    return len(events), empty


def _event(
    path: Path, number: int, row: Wanted, rows: Mapping[str, InferenceServed], answers: Answers
) -> FeedbackGiven:
    if row.id not in rows:
        raise ValueError(f"{path}, line {number}: id is {row.id!r}, expected that of a reply in the lake")
    if len(row.label) > LONGEST:
        raise ValueError(f"{path}, line {number}: label has {len(row.label)} characters, expected at most {LONGEST}")
    reply = rows[row.id]
    metric = METRICS[answers.metrics.get(reply.alias, exact_match.__name__)]
    label = answers.masker(row.label)
    return FeedbackGiven(
        id=codec.deterministic_id("feedback", row.id, REVIEWER, label),
        event_id=row.id,
        time_ms=now_ms(),
        alias=reply.alias,
        version=reply.version,
        arm=reply.arm,
        by=REVIEWER,
        source=REVIEWER,
        label=label,
        correct=_correct(reply, metric(reply.output, label) >= RIGHT),
    )


def _correct(reply: InferenceServed, right: bool) -> bool | None:
    """Two answers that are masked alike need not have been the same: of those only what differs is known."""
    masked = any(place in reply.output for place in PLACEHOLDERS.values())
    return None if not _comparable(reply) or (right and masked) else right


def _rows(path: Path) -> Iterator[tuple[int, Wanted]]:
    try:
        lines = utf8(path.read_bytes()).replace("\r\n", "\n").split("\n")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line, type=Wanted)
            except msgspec.DecodeError as error:
                raise ValueError(
                    f"{path}, line {number}: {error}; expected a row as `labels wanted` gives it"
                ) from error


def _judged(root: Path, alias: str, ids: Iterable[str]) -> set[str]:
    """Those replies of which somebody said what is right or wrong; a thumb, or a label that met no answer, does not."""
    about = lake.Among("event_id", pa.array(list(ids), pa.string()))
    words = lake.scan(root, FEEDBACK, alias=alias, columns=("event_id", "correct"), among=about)
    return {id for some in words for id in some.filter(some["correct"].is_valid())["event_id"].to_pylist()}


def _comparable(reply: InferenceServed) -> bool:
    return reply.status == 200 and comparable(reply.comparable, reply.output)


def _replies(root: Path, alias: str, ids: Collection[str]) -> dict[str, InferenceServed]:
    rows = lake.chosen(root, INFERENCE, ids, alias=alias)
    return {event.id: event for event in lake.events(InferenceServed, rows)}
