"""The judge's memory in the log: one record an alias, with the offsets it covers, confirmed before they are
acknowledged. A frozen reference is large and never changes, so it has a record of its own, `<alias>@<digest>`.

Of two records of an alias the one that covers more wins: a worker that has just lost its partition may write late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from monitor.judge import AliasState
from monitor.judge import start as start_judge
from monitor.policy import PolicyState
from monitor.reference.frozen import Reference
from streams import codec
from streams.events import Event
from streams.log.outbox import Outbox, Outgoing, outgoing
from streams.log.read import Raw
from streams.topics import STATE

log = structlog.get_logger()

References = dict[str, Reference]  # by digest
ANSWERED_KEPT = 100


class JudgeRecord(Event, frozen=True, kw_only=True):
    """Everything the judge remembers of an alias. `offsets` says, for each `topic/partition`, which comes next, and
    `topics` which ids each topic had, oldest first: the offsets are those of the last one. `answered`: the ids of the
    operators' last answers. Version 2 remembers losses; verdicts of version 1 are read as such."""

    schema_version: int = 2
    alias: str
    judge: AliasState
    policy: PolicyState = PolicyState()
    offsets: dict[str, int] = {}
    topics: dict[str, list[str]] = {}
    answered: list[str] = []

    @property
    def covered(self) -> int:
        """Return how many records it has taken."""
        return sum(self.offsets.values())

    @property
    def age(self) -> tuple[int, int]:
        """Return the key by which two compare: one that knows of a topic created again is the younger, however little
        it has taken of it."""
        return sum(map(len, self.topics.values())), self.covered


class ReferenceKept(Event, frozen=True, kw_only=True):
    """A version's frozen reference, without which a `JudgeRecord` that names its digest is incomplete."""

    alias: str
    reference: Reference


def start(alias: str) -> JudgeRecord:
    """Return the memory before the first record."""
    return JudgeRecord(alias=alias, judge=start_judge(alias))


def covers(record: JudgeRecord, topic: str, id: str, source: str, offset: int) -> bool:
    """Return whether the record has taken an offset of the topic with this id; of a topic that was created again since
    it has taken all."""
    ids = record.topics.get(topic, [])
    return id in ids[:-1] or (offset < record.offsets.get(source, 0) and id in ("", *(ids or [id])))


def of_topic(record: JudgeRecord, topic: str, id: str, heads: str) -> JudgeRecord:
    """Return the record for offsets of the topic with this id: where it knew another, its offsets begin again.
    `heads`: the judge's name for the topic's partitions; empty for a topic of which it counts none."""
    ids = record.topics.get(topic, [])
    if not id or id in ids:
        return record
    record = replace(record, topics=record.topics | {topic: [*ids, id]})
    if not ids:
        return record
    log.warning("topic was created again, its offsets are judged from the beginning", alias=record.alias, topic=topic)
    offsets = {source: next for source, next in record.offsets.items() if source.rpartition("/")[0] != topic}
    mine = {name: head for name, head in record.judge.heads.items() if heads and name.startswith(f"{heads}/")}
    again = {name: replace(head, next_offset=0) for name, head in mine.items()}
    return replace(record, offsets=offsets, judge=replace(record.judge, heads=record.judge.heads | again))


def answered(record: JudgeRecord, id: str, source: str, offset: int) -> JudgeRecord:
    """Return the record once it took the operator's answer with this id, at this offset of the scores. Answers have no
    order in the scores to go by, so they are known by id; and the record covers more than before, whatever the
    offset."""
    next = max(record.offsets.get(source, 0), offset) + 1
    kept = [*record.answered, id][-ANSWERED_KEPT:]
    return replace(record, answered=kept, offsets=record.offsets | {source: next})


def pack(record: JudgeRecord) -> tuple[JudgeRecord, References]:
    """Return the record with its references' rows taken out, and those references."""
    kept = {w.reference.digest: w.reference for w in record.judge.watches.values() if w.reference}
    watches = {
        version: replace(watch, reference=Reference([], [], [], watch.reference.digest)) if watch.reference else watch
        for version, watch in record.judge.watches.items()
    }
    return replace(record, judge=replace(record.judge, watches=watches)), kept


def unpack(record: JudgeRecord, references: References) -> JudgeRecord:
    """Return the record whole again; a version whose reference is missing is forgotten, and gathers a new one."""
    watches = {}
    for version, watch in record.judge.watches.items():
        if watch.reference is None:
            watches[version] = watch
        elif watch.reference.digest in references:
            watches[version] = replace(watch, reference=references[watch.reference.digest])
        else:
            log.error("reference lost, gathering a new one", alias=record.alias, version=version)
    return replace(record, judge=replace(record.judge, watches=watches))


@dataclass(slots=True)
class StateStore:
    """The state topic's records of one partition."""

    partition: int
    records: dict[str, JudgeRecord] = field(default_factory=dict)
    references: dict[str, References] = field(default_factory=dict)  # by alias

    def get(self, alias: str) -> JudgeRecord:
        """Return the alias's memory; a new one for an alias without any."""
        return self.records.get(alias) or start(alias)

    async def put(self, outbox: Outbox, records: Sequence[JudgeRecord], time_ms: int) -> None:
        """Write records, references first, and return once they are confirmed. References that no record names any more
        are given up."""
        packed = [(record, *pack(record)) for record in records]
        await outbox.confirm([r for record, _, named in packed for r in self._new(record.alias, named, time_ms)])
        await outbox.confirm([_sent(bare, bare.alias, self.partition, time_ms) for _, bare, _ in packed])
        gone = [(record.alias, d) for record, _, named in packed for d in self._known(record.alias) if d not in named]
        await outbox.confirm([_tombstone(alias, digest, self.partition) for alias, digest in gone])
        for record, _, named in packed:
            self.records[record.alias] = record
            self.references[record.alias] = named

    def _known(self, alias: str) -> References:
        return self.references.get(alias, {})

    def _new(self, alias: str, named: References, time_ms: int) -> list[Outgoing]:
        return [
            _sent(ReferenceKept(alias=alias, reference=reference), _name(alias, digest), self.partition, time_ms)
            for digest, reference in named.items()
            if digest not in self._known(alias)
        ]


def read_store(partition: int, raws: Iterable[Raw]) -> StateStore:
    """Return the store as the log's records, in their order, left it."""
    made = StateStore(partition)
    bare: dict[str, JudgeRecord] = {}
    for raw in raws:
        alias, _, digest = (raw.key or b"").decode().partition("@")
        try:
            if digest and raw.value is None:
                made.references.get(alias, {}).pop(digest, None)
            elif digest:
                kept = codec.decode(ReferenceKept, raw.value).reference
                made.references.setdefault(alias, {})[digest] = kept
            else:
                record = codec.decode(JudgeRecord, raw.value)
                bare[alias] = max(bare.get(alias, record), record, key=lambda each: each.age)
        except codec.Undecodable as error:
            log.error(
                "state unreadable, left out", alias=alias, partition=partition, offset=raw.offset, error=str(error)
            )
    made.records = {alias: unpack(record, made.references.get(alias, {})) for alias, record in bare.items()}
    return made


def _sent(event: JudgeRecord | ReferenceKept, key: str, partition: int, time_ms: int) -> Outgoing:
    id = codec.deterministic_id("state", key, *(event.age if isinstance(event, JudgeRecord) else ("",)))
    return outgoing(STATE, event, id=id, time_ms=time_ms, partition=partition, key=key)


def _tombstone(alias: str, digest: str, partition: int) -> Outgoing:
    return Outgoing(STATE, _name(alias, digest).encode(), None, [], partition)


def _name(alias: str, digest: str) -> str:
    return f"{alias}@{digest}"
