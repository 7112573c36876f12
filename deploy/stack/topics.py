"""The brokers' topics, made equal to the table in `streams.topics` as the settings shape it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.log.client import REFUSED
from streams.log.fitness.found import FoundTopic, described
from streams.log.settings import KafkaSettings
from streams.topics import TOPICS, Topic, misfits

AT_LEAST = (
    "retention.ms",
    "retention.bytes",
    "max.message.bytes",
)  # of which more is as good: records are kept for longer, or fit


class TopicsUnusable(RuntimeError):
    """The broker has a topic in a shape that cannot be changed to the table's; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What is to be done, by our names; `beyond`: what no command of ours does, and what to do."""

    create: list[Topic] = field(default_factory=list)
    grow: dict[str, tuple[int, int]] = field(default_factory=dict)  # partitions now and then
    configure: dict[str, dict[str, str]] = field(default_factory=dict)
    beyond: list[str] = field(default_factory=list)

    def lines(self, done: bool = False) -> list[str]:
        """Return a line for each step: as what was done, or as what would be."""
        verb = "created" if done else "create"
        return [
            *(f"{verb} {each.name} with {each.partitions} partition(s){_copies(each)}" for each in self.create),
            *(f"{name}: {have} -> {count} partitions" for name, (have, count) in self.grow.items()),
            *(f"{name}: {key} = {value}" for name, config in self.configure.items() for key, value in config.items()),
        ]

    def apply(self, admin: Any, kafka: KafkaSettings) -> None:
        """Do it."""
        if self.create:
            new = {kafka.physical(topic.name): _new(topic) for topic in self.create}
            with contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics(new, wait_for_metadata=True)
        if self.grow:
            admin.create_partitions({kafka.physical(name): count for name, (_, count) in self.grow.items()})
        if self.configure:
            _configure(admin, {kafka.physical(name): config for name, config in self.configure.items()})


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of topics, one line each with the found and the expected value."""

    missing: list[str]
    misfits: list[str]  # counts of partitions with which the worker does not start
    differing: list[str]  # from the table, in counts and settings

    def __bool__(self) -> bool:
        return bool(self.missing or self.misfits or self.differing)


def create_missing(settings: KafkaSettings, topics: Iterable[Topic] = TOPICS, wait_s: float = 30.0) -> list[str]:
    """Create missing topics, and leave the others as their owner made them. Return and raise as `create_topics`."""
    with connected(settings, wait_s) as admin:
        plan = TopicPlan(create=planned(admin, settings, topics).create)
        plan.apply(admin, settings)
    return plan.lines(done=True)


def create_topics(settings: KafkaSettings, topics: Iterable[Topic] = TOPICS, wait_s: float = 30.0) -> list[str]:
    """Create missing topics, and change configuration and partition counts that differ. Return one line a change: none
    on a second call. Raise TopicsUnusable where a topic has more partitions than the table says, and KafkaError when
    the broker takes nothing for `wait_s`."""
    with connected(settings, wait_s) as admin:
        plan = planned(admin, settings, topics)
        TopicPlan(create=plan.create).apply(admin, settings)
        if plan.beyond:
            raise TopicsUnusable("; ".join(plan.beyond))
        TopicPlan(grow=plan.grow, configure=plan.configure).apply(admin, settings)
    return plan.lines(done=True)


def planned(admin: Any, settings: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> TopicPlan:
    """Return what makes the topics as the table and the settings want them; nothing is changed. Raise PermissionError
    where this user may not look at one."""
    plan = TopicPlan()
    for topic, found in _looked_at(admin, settings, topics):
        if found is None:
            plan.create.append(topic)
            continue
        if found.partitions < topic.partitions:
            plan.grow[topic.name] = found.partitions, topic.partitions
        if wanted := _differing(topic, found.config):
            plan.configure[topic.name] = wanted
        plan.beyond.extend(_beyond(topic, found))
    return plan


def faults(admin: Any, settings: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> Faults:
    """Return the differences from the table and the settings; nothing is changed. Raise as `planned`."""
    looked_at = _looked_at(admin, settings, topics)
    there = [(topic, found) for topic, found in looked_at if found is not None]
    differing = [
        *(_counted(topic, found) for topic, found in there if found.partitions != topic.partitions),
        *(each for topic, found in there for each in _beyond(topic, found) if found.partitions <= topic.partitions),
        *(
            f"{topic.name} has {key} = {found.config[key]}, expected {value}"
            for topic, found in there
            for key, value in _differing(topic, found.config).items()
        ),
    ]
    missing = [f"{topic.name} does not exist" for topic, found in looked_at if found is None]
    return Faults(missing, misfits({topic.name: found.partitions for topic, found in there}), differing)


@contextlib.contextmanager
def connected(settings: KafkaSettings, wait_s: float) -> Iterator[Any]:
    """Yield an admin client; try again while the broker has just begun to listen."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            admin = KafkaAdminClient(client_id="homeostat-topics", **settings.client)
            break
        except KafkaError as error:
            if isinstance(error, REFUSED) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    try:
        yield admin
    finally:
        admin.close()


def _looked_at(admin: Any, settings: KafkaSettings, topics: Iterable[Topic]) -> list[tuple[Topic, FoundTopic | None]]:
    """Each topic as it should be and as it is."""
    wanted = settings.shaped(topics)
    keys = dict.fromkeys(key for topic in wanted for key in topic.config)
    found = described(admin, settings, [topic.name for topic in wanted], keys)
    if refused := [
        f"topic {name} {each}" for name, each in found.items() if isinstance(each, str) and "exist" not in each
    ]:
        raise PermissionError("; ".join(refused))
    return [(topic, each if isinstance(each := found[topic.name], FoundTopic) else None) for topic in wanted]


def _new(topic: Topic) -> dict[str, Any]:
    return {
        "num_partitions": topic.partitions,
        "replication_factor": topic.replication or -1,
        "configs": topic.config,
    }


def _configure(admin: Any, wanted: Mapping[str, dict[str, str]]) -> None:
    """Change settings. Raise PermissionError where the brokers refuse: upstream returns a refusal, and goes on."""
    answered = admin.alter_configs([ConfigResource("TOPIC", name, config) for name, config in wanted.items()])
    if refused := [f"{name} ({each})" for every in answered.values() for name, each in every.items() if each != "OK"]:
        raise PermissionError(
            f"the brokers refuse other settings for {', '.join(refused)}: `homeostat topics plan --acls` prints what "
            "each role must be allowed, and its account"
        )


def _copies(topic: Topic) -> str:
    return f" of {topic.replication} copies" if topic.replication else ""


def _differing(topic: Topic, have: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in topic.config.items() if key in have and not _fits(key, have[key], value)}


def _fits(key: str, have: str, wanted: str) -> bool:
    if have == wanted or key not in AT_LEAST:
        return have == wanted
    return int(wanted) >= 0 and (int(have) < 0 or int(have) >= int(wanted))


def _counted(topic: Topic, found: FoundTopic) -> str:
    return f"{topic.name} has {found.partitions} partitions, expected {topic.partitions}"


def _beyond(topic: Topic, found: FoundTopic) -> Iterator[str]:
    if found.partitions > topic.partitions:
        yield (
            f"topic {_counted(topic, found)}: Kafka cannot remove partitions; write "
            f'"{topic.name}" = {found.partitions} beneath [kafka.partitions], or delete the topic with its records'
        )
    if topic.replication and found.replication != topic.replication:
        yield (
            f"topic {topic.name} has {found.replication} copies of a partition, expected {topic.replication}; "
            "kafka-reassign-partitions changes them"
        )
