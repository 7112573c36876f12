"""What an operator does about a topic that was deleted and created again."""

from __future__ import annotations

from contextlib import closing

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import GroupIdNotFoundError, KafkaError, NoError

from deploy.config import Config
from streams import incarnations
from streams.incarnations import REMEMBERED, TopicIds
from streams.log import KafkaSettings

NAMES = [topic.name for topic in REMEMBERED]


def every(config: Config) -> list[str]:
    """One line for each topic whose offsets the worker builds on."""
    with closing(TopicIds(config.kafka)) as topic_ids:
        found = topic_ids.of(NAMES)
    known = incarnations.known(config.stack.var / "lake")
    return [_line(topic, id, known.get(topic, [])) for topic, id in found.items()]


def accept(config: Config, topic: str) -> str:
    """Goes on with the topic as it is now: what was acknowledged of the one before is forgotten, then the lake takes
    the id. Raises LookupError for a topic that is not known, ValueError for one that was left before, RuntimeError
    while a worker still reads it."""
    if topic not in NAMES:
        raise LookupError(f"topic is {topic!r}, expected one of {', '.join(NAMES)}")
    root = config.stack.var / "lake"
    with closing(TopicIds(config.kafka)) as topic_ids:
        id = topic_ids(topic)
    if incarnations.known(root).get(topic, [id])[-1] == id:
        return f"{topic} is the topic that the lake knows: nothing to do"
    incarnations.require_new(root, topic, id)
    forget_acknowledged(config.kafka, config.worker.app_id, topic)
    incarnations.accept(root, topic, id)
    return f"{topic} is read from its beginning; rows of the topic before it stay in the lake"


def forget_acknowledged(kafka: KafkaSettings, group: str, topic: str) -> None:
    """Deletes what the group committed of a topic. Raises RuntimeError where a member of the group reads it."""
    with closing(KafkaAdminClient(client_id="homeostat-renewal", **kafka.client)) as admin:
        (described,) = admin.describe_topics([topic])
        places = [TopicPartition(topic, each["partition_index"]) for each in described["partitions"]]
        try:
            done = admin.delete_group_offsets(group, places)
        except GroupIdNotFoundError:
            return
        except KafkaError as error:
            raise RuntimeError(f"a worker of group {group} still reads {topic}: stop it first ({error})") from error
    failed = sorted({each.__name__ for each in done.values() if each is not NoError})
    if failed:
        raise RuntimeError(f"a worker of group {group} still reads {topic}: stop it first ({', '.join(failed)})")


def _line(topic: str, id: str, known: list[str]) -> str:
    if not known:
        return f"{topic}  {id}  not taken yet"
    if known[-1] != id:
        return f"{topic}  {id}  was made anew: `homeostat topics accept {topic}` goes on with it"
    return f"{topic}  {id}  known" + (f", after {len(known) - 1} before it" if len(known) > 1 else "")
