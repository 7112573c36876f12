"""The broker's topics, made equal to the table in `streams.topics`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.log.client import REFUSED
from streams.log.settings import KafkaSettings
from streams.topics import TOPICS, Topic, misfits


class TopicsUnusable(RuntimeError):
    """The broker has a topic in a shape that cannot be changed to the table's; the message says what to do."""


def create_missing(settings: KafkaSettings, topics: Iterable[Topic] = TOPICS, wait_s: float = 30.0) -> list[str]:
    """Create missing topics, and leave the others as their owner made them. Return and raise as `create_topics`."""
    with _admin(settings, wait_s) as admin:
        present = set(admin.list_topics())
        return _create(admin, [topic for topic in topics if topic.name not in present])


def create_topics(settings: KafkaSettings, topics: Iterable[Topic] = TOPICS, wait_s: float = 30.0) -> list[str]:
    """Create missing topics, and change configuration and partition counts that differ. Return one line a change: none
    on a second call. Raise TopicsUnusable where a topic has more partitions than the table says, and KafkaError when
    the broker takes nothing for `wait_s`."""
    wanted = {topic.name: topic for topic in topics}
    with _admin(settings, wait_s) as admin:
        present = set(admin.list_topics())
        changes = _create(admin, [topic for name, topic in wanted.items() if name not in present])
        old = [topic for name, topic in wanted.items() if name in present]
        return [*changes, *_repartition(admin, old), *_reconfigure(admin, old)]


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of topics, one line each with the found and the expected value."""

    missing: list[str]
    misfits: list[str]  # counts of partitions with which the worker does not start
    differing: list[str]  # from the table, in counts and settings

    def __bool__(self) -> bool:
        return bool(self.missing or self.misfits or self.differing)


def faults(admin: Any, topics: Iterable[Topic] = TOPICS) -> Faults:
    """Return the differences from the table; nothing is changed."""
    wanted = {topic.name: topic for topic in topics}
    present = set(admin.list_topics())
    missing = [f"{name} does not exist" for name in wanted if name not in present]
    there = [topic for name, topic in wanted.items() if name in present]
    counts = _counts(admin, there)
    return Faults(missing, misfits(counts), [*_miscounted(counts, there), *_misconfigured(admin, there)])


def _miscounted(counts: Mapping[str, int], topics: list[Topic]) -> list[str]:
    return [
        f"{topic.name} has {counts[topic.name]} partitions, expected {topic.partitions}"
        for topic in topics
        if counts[topic.name] != topic.partitions
    ]


def _misconfigured(admin: Any, topics: list[Topic]) -> list[str]:
    have = _configs(admin, topics)
    return [
        f"{topic.name} has {key} = {have[topic.name][key]['value']}, expected {value}"
        for topic in topics
        for key, value in _differing(topic, have[topic.name]).items()
    ]


def _counts(admin: Any, topics: list[Topic]) -> dict[str, int]:
    if not topics:
        return {}
    return {each["name"]: len(each["partitions"]) for each in admin.describe_topics([topic.name for topic in topics])}


def _configs(admin: Any, topics: list[Topic]) -> Any:
    if not topics:
        return {}
    asked = [ConfigResource("TOPIC", topic.name, list(topic.config)) for topic in topics]
    return next(iter(admin.describe_configs(asked, config_filter="all").values()))


def _create(admin: Any, topics: list[Topic]) -> list[str]:
    if not topics:
        return []
    new = {topic.name: {"num_partitions": topic.partitions, "configs": topic.config} for topic in topics}
    with contextlib.suppress(TopicAlreadyExistsError):
        admin.create_topics(new, wait_for_metadata=True)
    return [f"created {topic.name} with {topic.partitions} partition(s)" for topic in topics]


def _repartition(admin: Any, topics: list[Topic]) -> list[str]:
    have = _counts(admin, topics)
    for topic in topics:
        if have[topic.name] > topic.partitions:
            raise TopicsUnusable(
                f"topic {topic.name} has {have[topic.name]} partitions, expected {topic.partitions}: Kafka cannot "
                "remove partitions; delete the topic, or give its table entry as many"
            )
    grown = {topic.name: topic.partitions for topic in topics if have[topic.name] < topic.partitions}
    if grown:
        admin.create_partitions(grown)
    return [f"{name}: {have[name]} -> {count} partitions" for name, count in grown.items()]


def _reconfigure(admin: Any, topics: list[Topic]) -> list[str]:
    have = _configs(admin, topics)
    changed = {topic.name: _differing(topic, have[topic.name]) for topic in topics}
    changed = {name: config for name, config in changed.items() if config}
    if changed:
        admin.alter_configs([ConfigResource("TOPIC", name, config) for name, config in changed.items()])
    return [f"{name}: {key} = {value}" for name, config in changed.items() for key, value in config.items()]


def _differing(topic: Topic, have: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in topic.config.items() if str(have[key]["value"]) != value}


@contextlib.contextmanager
def _admin(settings: KafkaSettings, wait_s: float) -> Iterator[Any]:
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
