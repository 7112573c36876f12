"""Dead letters: events that could not be read, kept with the reason and the place, and put back once they can be."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from monitor.describe.pii import PATTERNS, PLACEHOLDERS, replaced
from monitor.describe.private.surrogates import is_surrogate
from streams import codec
from streams.events import DeadLetter
from streams.log.append import Appender
from streams.log.read import Raw, Record, read
from streams.log.settings import KafkaSettings
from streams.topics import (
    FEEDBACK,
    FEEDBACK_DLQ,
    INFERENCE,
    INFERENCE_DLQ,
    RESULTS,
    RESULTS_DLQ,
    SCORES,
    SCORES_DLQ,
    Topic,
)

QUEUES: dict[str, Topic] = {
    INFERENCE.name: INFERENCE_DLQ,
    FEEDBACK.name: FEEDBACK_DLQ,
    SCORES.name: SCORES_DLQ,
    RESULTS.name: RESULTS_DLQ,
}
SOURCES: dict[str, Topic] = {topic.name: topic for topic in (INFERENCE, FEEDBACK, SCORES, RESULTS)}

LONGEST = 8 * 1_048_576  # bytes kept of one event
LONGEST_REASON = 1_000
CUT = "; the value is cut and cannot be replayed"


def letter(topic: Topic, raw: Raw, reason: str) -> DeadLetter:
    """Return the dead letter for one record; the same record always makes the same letter. Its reason goes into logs
    and may quote the event, so it is masked: surrogates of the gateway's stay what they are, as everywhere, and what no
    gateway masked gets its kind's name, for a worker has no key. The event itself stays as it is, to be put back."""
    value = raw.value or b""
    note = replaced(reason, list(PATTERNS), _blotted)[:LONGEST_REASON] + (CUT if len(value) > LONGEST else "")
    return DeadLetter(
        source_topic=topic.name,
        partition=raw.partition,
        offset=raw.offset,
        reason=note,
        value=base64.b64encode(value[:LONGEST]).decode(),
        time_ms=raw.timestamp_ms,
    )


def _blotted(kind: str, value: str) -> str:
    return value if is_surrogate(kind, value) else PLACEHOLDERS[kind]


def letter_id(letter: DeadLetter) -> str:
    """Return the letter's id: a record that failed twice, because its worker crashed, is one letter."""
    return codec.deterministic_id("dead letter", letter.source_topic, letter.partition, letter.offset)


def value(letter: DeadLetter) -> bytes:
    """Return the bytes that could not be read."""
    return base64.b64decode(letter.value)


def letters(kafka: KafkaSettings, source: Topic) -> list[Record[DeadLetter]]:
    """Return all dead letters of a topic, each once, in the order of the queue."""
    found: dict[str, Record[DeadLetter]] = {}
    for record in read(kafka, queue(source), DeadLetter):
        found.setdefault(letter_id(record.event), record)
    return list(found.values())


def queue(source: Topic) -> Topic:
    """Return the dead-letter queue of a topic; raise LookupError where it has none."""
    return QUEUES[named(source.name).name]


def named(name: str) -> Topic:
    """Return the topic of that name; raise LookupError where it has no dead-letter queue."""
    if name not in SOURCES:
        raise LookupError(f"topic {name!r} has no dead-letter queue; those with one: {', '.join(sorted(SOURCES))}")
    return SOURCES[name]


def replay(appender: Appender, letters: Iterable[DeadLetter]) -> tuple[int, list[str]]:
    """Put letters back into their topics; return how many, and why the others could not be.

    An event that was read after all in the meantime is dropped as a duplicate by its id."""
    done, refused = 0, []
    for each in letters:
        place = f"{each.source_topic}/{each.partition} offset {each.offset}"
        topic = SOURCES.get(each.source_topic)
        if topic is None or each.reason.endswith(CUT):
            refused.append(f"{place}: {each.reason}")
            continue
        try:
            event = codec.decode(topic.value, value(each))
        except codec.Undecodable as error:
            refused.append(f"{place}: still unreadable: {error}")
            continue
        appender.append(topic, event, id=letter_id(each), time_ms=each.time_ms)
        done += 1
    return done, refused
