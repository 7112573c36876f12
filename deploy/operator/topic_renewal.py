"""Topics that were deleted and created again, accepted by an operator."""

from __future__ import annotations

import time
from contextlib import closing

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import GroupIdNotFoundError, KafkaError, NoError

from deploy.config.settings import Config
from streams.log import topic_ids as incarnations
from streams.log.settings import KafkaSettings
from streams.log.topic_ids import REMEMBERED, TopicIds
from streams.objects.store import ObjectStore

SLACK_S = 5.0
PATIENCE_S = 10.0  # with a bucket
LOOK_AGAIN_S = 0.5

NAMES = [topic.name for topic in REMEMBERED]


def every(config: Config) -> list[str]:
    """List, a line each, the topics whose offsets the worker builds on."""
    with closing(TopicIds(config.kafka)) as topic_ids:
        found = topic_ids.of(NAMES)
    known = incarnations.known(_store(config))
    return [_line(topic, id, known.get(topic, [])) for topic, id in found.items()]


def accept(config: Config, topic: str) -> str:
    """Accept the topic as it is now: forget the acknowledged offsets of the one before, then record the id in the lake.
    Raise LookupError for a topic that is not known, ValueError for one that was left before, RuntimeError while a
    worker still reads it."""
    if topic not in NAMES:
        raise LookupError(f"topic is {topic!r}, expected one of {', '.join(NAMES)}")
    store = _store(config)
    with closing(TopicIds(config.kafka)) as topic_ids:
        id = topic_ids(topic)
    if incarnations.known(store).get(topic, [id])[-1] == id:
        return f"{topic} is the topic that the lake knows: nothing to do"
    incarnations.require_new(store, topic, id)
    let_go_s = config.worker.session_timeout_s + SLACK_S  # a worker that was killed is a member for so long
    forget_acknowledged(config.kafka, config.worker.app_id, topic, time.monotonic() + let_go_s)
    incarnations.accept(store, topic, id)
    return f"{topic} is read from its beginning; rows of the topic before it stay in the lake"


def forget_acknowledged(kafka: KafkaSettings, group: str, topic: str, until: float = 0.0) -> None:
    """Delete the group's committed offsets of a topic, both by our names. Raise RuntimeError where a member
    of the group still reads it at `until`, of the monotonic clock."""
    group, topic = kafka.physical(group), kafka.physical(topic)
    with closing(KafkaAdminClient(client_id="homeostat-renewal", **kafka.client)) as admin:
        (described,) = admin.describe_topics([topic])
        places = [TopicPartition(topic, each["partition_index"]) for each in described["partitions"]]
        while refused := _refused(admin, group, places):
            if time.monotonic() >= until:
                raise RuntimeError(f"a worker of group {group} still reads {topic}: stop it first ({refused})")
            time.sleep(LOOK_AGAIN_S)


def _store(config: Config) -> ObjectStore:
    return config.kept.objects(PATIENCE_S)


def _refused(admin: KafkaAdminClient, group: str, places: list[TopicPartition]) -> str:
    """Delete the group's offsets. Return why that is refused; empty once they are deleted."""
    try:
        done = admin.delete_group_offsets(group, places)
    except GroupIdNotFoundError:
        return ""
    except KafkaError as error:
        return str(error)
    return ", ".join(sorted({each.__name__ for each in done.values() if each is not NoError}))


def _line(topic: str, id: str, known: list[str]) -> str:
    if not known:
        return f"{topic}  {id}  not taken yet"
    if known[-1] != id:
        return f"{topic}  {id}  was created again: `homeostat topics accept {topic}` goes on with it"
    return f"{topic}  {id}  known" + (f", after {len(known) - 1} before it" if len(known) > 1 else "")
