"""The ledger: every decision with everything needed to derive it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from streams import codec
from streams.events import DecisionRecorded
from streams.files import write_private
from streams.kinds import DecisionKind
from streams.log.outbox import Outgoing, outgoing
from streams.log.read import partition_counts, scan
from streams.log.read import read as read_log
from streams.log.settings import KafkaSettings
from streams.topics import LEDGER


def entry(
    kind: DecisionKind,
    function: str,
    edition: int,
    *,
    alias: str,
    place: str,
    time_ms: int,
    inputs: dict[str, object],
    output: object,
    cause: str = "",
    summary: str = "",
) -> DecisionRecorded:
    """Return a decision about the record at `place` (`topic/partition/offset`). Deciding again gives the same id.
    Inputs and output may be anything msgspec writes as JSON; they are kept as plain JSON values."""
    return DecisionRecorded(
        id=codec.deterministic_id("decision", function, alias, place),
        alias=alias,
        time_ms=time_ms,
        kind=kind,
        function=function,
        edition=edition,
        inputs={name: codec.plain(value) for name, value in inputs.items()},
        output=codec.plain(output),
        cause=cause,
        summary=summary,
    )


def record(decision: DecisionRecorded) -> Outgoing:
    """Return the decision as a record, to be confirmed before it takes effect."""
    return outgoing(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)


def once(decisions: Iterable[DecisionRecorded]) -> list[DecisionRecorded]:
    """Return each decision once: the first of an id wins, later ones are repetitions after a crash."""
    found: dict[str, DecisionRecorded] = {}
    for each in decisions:
        found.setdefault(each.id, each)
    return list(found.values())


def read(kafka: KafkaSettings) -> list[DecisionRecorded]:
    """Return all decisions so far, in the order of the log, each once."""
    return once(each.event for each in read_log(kafka, LEDGER, DecisionRecorded))


def records(kafka: KafkaSettings) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the value of everything in the ledger, also of records that this release cannot read. A
    decision may hold a whole reference, so they are read one by one."""
    for partition in range(partition_counts(kafka, [LEDGER])[LEDGER.name]):
        for raw in scan(kafka, LEDGER, partition):
            yield f"{LEDGER.name}/{partition}/{raw.offset}", raw.value or b""


def export(decisions: Iterable[DecisionRecorded], path: Path) -> int:
    """Write one JSON object a line; return how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [codec.encode(each) + b"\n" for each in decisions]
    write_private(path, b"".join(lines))
    return len(lines)
