"""Labels that alarms ask for: the replies that need one, and the labels that a reviewer gives."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from deploy.operator.labels import draws, open_groups
from deploy.operator.labels.draws import REVIEWER, LabelDraw
from monitor.canonical import UNREADABLE
from monitor.characters import blank
from monitor.describe.fingerprint import event_print
from monitor.selection.cohort import COMPLETE
from monitor.selection.sources import origin
from serving.gateway.feedback import LONGEST
from serving.gateway.masking import Maskers
from streams import codec
from streams.clock import now_ms
from streams.events import AlarmRaised, FeedbackGiven, InferenceServed, RetrainReported
from streams.files import utf8
from streams.identity import ForgedDraw, ReplyDraw, Signer
from streams.ingest.judgement import masked_alike
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.lake.table import JUDGED_BY, events, judged, question
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.messages import comparable
from streams.scoring.rows import served_row
from streams.scoring.scorer import Scorer
from streams.topics import ALARMS, FEEDBACK, INFERENCE, RESULTS

AUDIT = "audit"


class LabelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reply for a reviewer; `label` is empty, to be filled in with the right answer."""

    id: str
    question: str
    answer: str
    label: str = ""
    alarm: str = ""
    draw: str = ""  # of a reply that was drawn: with which chance, signed


@dataclass(frozen=True, slots=True)
class LabelRules:
    """The scorer of the alias's answers, the maskers of labels before they leave, and what signs draws."""

    scorer: Scorer
    maskers: Maskers
    signer: Signer
    sources: Mapping[str, str] = field(default_factory=dict)  # as which the operator declares the labels of each


def wanted(kafka: KafkaSettings, lake: Lake, alias: str) -> list[LabelRow]:
    """List the replies whose labels are asked for and that have none: those of groups that the newest verdict does not
    tell about, then those that the alias's alarms name, the newest alarm's first."""
    reports = (record.event for record in read(kafka, RESULTS, RetrainReported))
    asked = open_groups.replies(lake, alias, *open_groups.of_verdict(reports, alias))
    for record in reversed(read(kafka, ALARMS, AlarmRaised)):
        if record.event.alias == alias:
            named = record.event.evidence.get("label_first", [])
            asked |= {id: record.event.summary for id in named if id not in asked}
    rows = replies(lake, alias, asked)
    judged = _judged(lake, alias, rows) if rows else set()
    return [
        listed(rows[id], alarm=why)
        for id, why in asked.items()
        if id in rows and id not in judged and can_be_labelled(rows[id])
    ]


def audited(lake: Lake, alias: str, since_ms: int) -> list[LabelRow]:
    """List the audited replies since then that have no auditor's label, oldest first: each that stays without one makes
    the audit prove less."""
    parts = lake.rows(INFERENCE, alias=alias, since_ms=since_ms, columns=("id", "arm", "cohorts"))
    rows = (row for part in parts for row in part.to_pylist() if row["arm"] != Arm.SHADOW)
    ids = [row["id"] for row in rows if row["cohorts"] and AUDIT in msgspec.json.decode(row["cohorts"])]
    done = draws.labelled(lake, alias, ids, lambda origin: origin == AUDIT)
    known = replies(lake, alias, [id for id in ids if id not in done])
    return [
        listed(reply, alarm="audit")
        for reply in sorted(known.values(), key=lambda each: each.time_ms)
        if can_be_labelled(reply)
    ]


def drawn(lake: Lake, alias: str, draw: LabelDraw, signer: Signer) -> list[LabelRow]:
    """List the replies of a draw that have no label yet, in chance order."""
    found = replies(lake, alias, draws.progress(lake, alias, draw).lacking)
    return [
        listed(reply, alarm="drawn", draw=draw.signed(signer, reply.id))
        for reply in sorted(found.values(), key=lambda each: event_print(each.id))
    ]


def listed(reply: InferenceServed, *, alarm: str = "", draw: str = "") -> LabelRow:
    """Return a reply as reviewers get it."""
    asked = question(reply.input_messages)
    return LabelRow(id=reply.id, question=asked, answer=reply.output, alarm=alarm, draw=draw)


def give(kafka: KafkaSettings, lake: Lake, path: Path, alias: str, rules: LabelRules) -> tuple[int, int]:
    """Send the labels of a file as `wanted` wrote it. Return how many, and how many rows had none. Raise ValueError
    naming a wrong line before anything is sent, or a draw that is not labelled whole; giving the same labels again
    changes nothing."""
    events, empty = filled_in(lake, path, alias, rules)
    _require_whole(kafka, lake, alias, {event.event_id for event in events if event.probability})
    with closing(Appender(kafka, "cli")) as appender:
        for event in events:
            appender.append(FEEDBACK, event, id=event.id, time_ms=event.time_ms)
    return len(events), empty


def filled_in(lake: Lake, path: Path, alias: str, rules: LabelRules) -> tuple[list[FeedbackGiven], int]:
    """Return a file's labels as events, judged by the alias's metric, and how many rows had none. Raise ValueError
    naming a wrong line."""
    filled, empty = [], 0
    for number, row in _rows(path):
        empty += blank(row.label)
        if not blank(row.label):
            filled.append((number, row))
    rows = replies(lake, alias, [row.id for _, row in filled])
    for number, row in filled:
        _check(path, number, row, rows)
    chances = [_chances(path, number, row, rules.signer) for number, row in filled]
    given = [(rows[row.id], row.label) for _, row in filled]
    labels = [(reply, rules.maskers(reply.tenant).whole(label)) for reply, label in given]
    losses = asyncio.run(rules.scorer.losses([served_row(reply, label) for reply, label in labels]))
    each = zip(labels, losses, chances, strict=True)
    return [_event(reply, label, loss, rules, draw) for (reply, label), loss, draw in each], empty


def _require_whole(kafka: KafkaSettings, lake: Lake, alias: str, given: set[str]) -> None:
    """Raise ValueError where of a draw with some of these replies too few have a label then: which ones are left out
    may depend on the answers."""
    for draw in draws.made(kafka, alias) if given else []:
        if given.isdisjoint(draw.drawn):
            continue
        found = draws.progress(lake, alias, draw, given)
        if not found.whole:
            raise ValueError(
                f"{len(found.lacking)} of the {found.replies} drawn replies have no label, expected one of "
                f"{COMPLETE:.0%} of them: a draw proves something only where nearly all of it is labelled; fill in "
                f"the rest, of {found.lacking[0]} for one"
            )


def _chances(path: Path, number: int, row: LabelRow, signer: Signer) -> ReplyDraw | None:
    try:
        return signer.read_draw(row.id, row.draw) if row.draw else None
    except ForgedDraw as error:
        raise ValueError(f"{path}, line {number}: {error}") from error


def _check(path: Path, number: int, row: LabelRow, rows: Mapping[str, InferenceServed]) -> None:
    if row.id not in rows:
        raise ValueError(f"{path}, line {number}: id is {row.id!r}, expected that of a reply in the lake")
    if len(row.label) > LONGEST:
        raise ValueError(f"{path}, line {number}: label has {len(row.label)} characters, expected at most {LONGEST}")


def _event(
    reply: InferenceServed, label: str, loss: float | None, rules: LabelRules, draw: ReplyDraw | None
) -> FeedbackGiven:
    chance = draw.probability if draw else None
    who = origin(rules.sources, REVIEWER, REVIEWER, audited=AUDIT in reply.cohorts, probability=chance)
    return FeedbackGiven(
        id=codec.deterministic_id("feedback", reply.id, REVIEWER, label, *(draw or ())),
        event_id=reply.id,
        time_ms=now_ms(),
        alias=reply.alias,
        version=reply.version,
        arm=reply.arm,
        by=REVIEWER,
        source=REVIEWER,
        label=label,
        origin=who.name,
        share=draw.share if draw else None,
        probability=chance,
        loss=known_loss(reply, loss),
        metric=rules.scorer.name,
        user=reply.user,
        conversation=reply.conversation,
    )


def known_loss(reply: InferenceServed, loss: float | None) -> float | None:
    """Return how bad the answer was; None where that cannot be known."""
    return None if not can_be_labelled(reply) or masked_alike(reply) else loss


def _rows(path: Path) -> Iterator[tuple[int, LabelRow]]:
    try:
        lines = utf8(path.read_bytes()).replace("\r\n", "\n").split("\n")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line, type=LabelRow)
            except UNREADABLE as error:
                raise ValueError(
                    f"{path}, line {number}: {error}; expected a row as `labels wanted` gives it"
                ) from error


def _judged(lake: Lake, alias: str, ids: Iterable[str]) -> set[str]:
    """Return the replies that have a judgement; a thumb, or a label that met no answer, is none."""
    feedback = lake.by_ids(FEEDBACK, ids, column="event_id", alias=alias, columns=("event_id", *JUDGED_BY))
    return {id for some in feedback for id in some.filter(judged(some))["event_id"].to_pylist()}


def can_be_labelled(reply: InferenceServed) -> bool:
    """Return whether a label can be compared with the reply."""
    return reply.status == 200 and comparable(reply.comparable, reply.output)


def replies(lake: Lake, alias: str, ids: Collection[str]) -> dict[str, InferenceServed]:
    """Return the alias's replies with these ids that the lake has."""
    parts = lake.by_ids(INFERENCE, ids, alias=alias)
    return {event.id: event for part in parts for event in events(InferenceServed, part)}
