"""What is wrong with topics, one line each, with the value found, the one expected, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from streams.log.fitness.found import ABSENT, FoundTopic
from streams.log.fitness.needs import RoleNeeds
from streams.topics import CREATES, TAKEN_IN, Topic, forgetful, misfits

TIMED, LARGEST, CLEANUP, KEPT, KEPT_BYTES, INSYNC = (
    "message.timestamp.type",
    "max.message.bytes",
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "min.insync.replicas",
)
KEYS = (TIMED, LARGEST, CLEANUP, KEPT, KEPT_BYTES, INSYNC)
ALLOWED = "`homeostat topics plan --acls` prints what the role needs"
APPLY = "`homeostat topics apply` sets it"
WAITED_FOR = frozenset(topic.name for topic in TAKEN_IN)  # for as long as labels wait


def unfit(topics: Iterable[Topic], found: Mapping[str, FoundTopic | str], wait_s: int | None = None) -> Iterator[str]:
    """Yield what keeps the topics from being used; `wait_s`: how long labels wait for their reply, where that matters
    to the role."""
    known = {name: each for name, each in found.items() if isinstance(each, FoundTopic)}
    for topic in topics:
        if topic.name not in known:
            why = str(found.get(topic.name, ABSENT))
            yield f"topic {topic.name} {why}; {CREATES if why == ABSENT else ALLOWED}"
        else:
            yield from _unfit(topic, known[topic.name])
    yield from misfits({name: each.partitions for name, each in known.items()})
    if wait_s is not None:
        waited = {name: each.config for name, each in known.items() if name in WAITED_FOR}
        yield from forgetful({name: int(have[KEPT]) for name, have in waited.items() if KEPT in have}, wait_s)


def forbidden(needs: RoleNeeds, found: Mapping[str, FoundTopic | str]) -> Iterator[str]:
    """Yield what the role does and this user may not."""
    for topic in needs.topics:
        each = found.get(topic.name)
        if isinstance(each, FoundTopic) and each.operations is not None:
            for operation in needs.operations(topic):
                if operation not in each.operations:
                    yield (
                        f"this user may not {operation.capitalize()} topic {topic.name}, expected for the role "
                        f"{needs.role}; {ALLOWED}"
                    )


def unknown_settings(found: Mapping[str, FoundTopic | str]) -> list[str]:
    """Return the topics whose settings this user may not know."""
    return [name for name, each in found.items() if isinstance(each, FoundTopic) and not each.config]


def _unfit(topic: Topic, found: FoundTopic) -> Iterator[str]:
    have = found.config
    if topic.timed_by_log and have.get(TIMED, "LogAppendTime") != "LogAppendTime":
        yield (
            f"topic {topic.name} has {TIMED} = {have[TIMED]}, expected LogAppendTime: the judge takes records in the "
            f"order in which the log took them; {APPLY}"
        )
    if int(have.get(LARGEST, topic.max_bytes)) < topic.max_bytes:
        yield (
            f"topic {topic.name} has {LARGEST} = {have[LARGEST]}, expected at least {topic.max_bytes}: larger records "
            f"would be set aside; {APPLY}"
        )
    yield from _forgotten(topic, have)
    if 0 < found.replication < int(have.get(INSYNC, 0)):
        yield (
            f"topic {topic.name} has {INSYNC} = {have[INSYNC]} and {found.replication} copies of a partition: nothing "
            "can be written, expected fewer than copies; add copies, or lower it"
        )


def _forgotten(topic: Topic, have: Mapping[str, str]) -> Iterator[str]:
    """A topic that is compacted loses all but the newest record of a key, one that is not loses records by age."""
    policies = set(have.get(CLEANUP, topic.cleanup).replace(" ", "").split(","))
    if policies != {topic.cleanup}:
        yield (
            f"topic {topic.name} has {CLEANUP} = {have[CLEANUP]}, expected {topic.cleanup}: records that are needed "
            f"would be deleted; {APPLY}"
        )
        return
    if topic.cleanup == "compact":
        return
    state = topic.retention_h is None
    if state and int(have.get(KEPT, -1)) >= 0:
        yield (
            f"topic {topic.name} has {KEPT} = {have[KEPT]}, expected -1: its records are state, and kept for ever; "
            f"{APPLY}"
        )
    if (state or topic.name in WAITED_FOR) and int(have.get(KEPT_BYTES, -1)) >= 0:
        yield (
            f"topic {topic.name} has {KEPT_BYTES} = {have[KEPT_BYTES]}, expected -1: records beyond that would be "
            f"deleted, however young they are; {APPLY}"
        )
