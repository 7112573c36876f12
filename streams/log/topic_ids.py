"""The ids of topics. A topic that is deleted and created again counts from 0 again, under an id of its own (KIP-516):
its offsets are not those that the lake and the judge know under the same name.

`lake/topics.json` in the store holds, for each topic, the ids it had, oldest first. The place of an id in that list is
its incarnation: 0 for the topic that the lake began with. It is written by condition: of two workers that meet a topic
for the first time, the second finds what the first wrote.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from monitor.canonical import UNREADABLE
from streams.log.settings import KafkaSettings
from streams.objects.store import ATTEMPTS, ObjectStore, StorageError
from streams.topics import CREATES, FEEDBACK, INFERENCE, RESULTS, SCORES, STATE

KEY = "lake/topics.json"
LOOKED_S = 10.0  # a bucket is not asked again about an id for so long
REMEMBERED = (INFERENCE, FEEDBACK, SCORES, RESULTS, STATE)  # whose offsets or records a worker builds on
NONE = "00000000-0000-0000-0000-000000000000"  # of a broker older than Kafka 2.8

Ids = dict[str, list[str]]  # by topic, oldest first


class TopicRecreated(RuntimeError):
    """A topic is not the one that the lake knows under this name; the message says what to do."""

    def __init__(self, topic: str, known: str, found: str) -> None:
        self.topic = topic
        super().__init__(
            f"topic {topic} was created again: its id is {found}, the lake knows {known}. Its offsets begin again, so "
            f"nothing of it is taken. `homeostat topics accept {topic}` goes on with it and keeps the old rows"
        )


def known(store: ObjectStore) -> Ids:
    """Return the ids that the lake's topics had. Raises ValueError for an object that cannot be read, StorageError
    where the store is away."""
    return _read(store)[0]


def incarnation(store: ObjectStore, topic: str, id: str) -> int:
    """Return the incarnation of a topic with this id; the first id of a topic is remembered. Raises TopicRecreated
    where the lake knows another id as the present one, and as `known`."""
    mine = known(store).get(topic) or _changed(store, lambda ids: {topic: [id], **ids})[topic]
    if mine[-1] != id:
        raise TopicRecreated(topic, mine[-1], id)
    return len(mine) - 1


def accept(store: ObjectStore, topic: str, id: str) -> bool:
    """Make the id the present one of its topic, and return whether it was another. Raises ValueError for an id that the
    topic had before and left: lake and judge have its records already, and would overwrite or drop the new ones."""
    another = False

    def accepted(ids: Ids) -> Ids:
        nonlocal another
        mine = ids.get(topic, [])
        another = mine[-1:] != [id]
        _require_new(mine, topic, id)
        return ids | {topic: [*mine, id]} if another else ids

    _changed(store, accepted)
    return another


def require_new(store: ObjectStore, topic: str, id: str) -> None:
    """Raise ValueError for an id that the topic had and left."""
    _require_new(known(store).get(topic, []), topic, id)


def recreated(store: ObjectStore, found: Mapping[str, str]) -> list[TopicRecreated]:
    """Return which of the topics found (name to id) were created again; the first id of a topic is remembered."""
    refused = []
    for topic, id in found.items():
        try:
            incarnation(store, topic, id)
        except TopicRecreated as error:
            refused.append(error)
    return refused


@dataclass(slots=True)
class Incarnations:
    """The incarnations of topics, for a worker that asks with each batch. A bucket is asked about an id every LOOKED_S;
    while it is away, what it answered before holds: the broker, which is asked each time, still names that id."""

    store: ObjectStore
    _found: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)  # and when, on the monotonic clock

    def of(self, topic: str, id: str) -> int:
        """Return as `incarnation`, with its errors; StorageError only for an id that was never looked up."""
        place, looked_s = self._found.get((topic, id), (0, float("-inf")))
        if self.store.folder is None and time.monotonic() - looked_s < LOOKED_S:
            return place
        try:
            place = incarnation(self.store, topic, id)
        except StorageError:
            if (topic, id) not in self._found:
                raise
        except TopicRecreated:
            self._found.pop((topic, id), None)
            raise
        self._found[topic, id] = place, time.monotonic()
        return place


class TopicIds:
    """Asks a broker for the ids of topics, over one connection. From any thread."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin: Any = None
        self._lock = threading.Lock()

    def __call__(self, topic: str) -> str:
        """Return a topic's present id. Raises KafkaError where no broker answers, LookupError for an unknown topic."""
        return self.of([topic])[topic]

    def of(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the ids of several topics, by our names, with the same errors."""
        names = {self._kafka.physical(topic): topic for topic in topics}
        with self._lock:
            try:
                self._admin = self._admin or KafkaAdminClient(client_id="homeostat-topic-ids", **self._kafka.client)
                found = {each["name"]: each for each in self._admin.describe_topics(list(names))}
                cluster = "" if all(map(_topic_id, found.values())) else self._admin.describe_cluster()["cluster_id"]
            except KafkaError:
                self._close()
                raise
        cluster = f"cluster {cluster} {self._kafka.prefix}".rstrip()
        return {topic: _topic_id(_there(name, found)) or cluster for name, topic in names.items()}

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError):
                admin.close()


def _there(topic: str, found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if topic not in found or found[topic].get("error_code"):
        raise LookupError(f"topic {topic!r} does not exist; {CREATES}")
    return found[topic]


def _topic_id(described: Mapping[str, Any]) -> str:
    """Empty where the broker gives topics none."""
    id = str(described.get("topic_id") or NONE)
    return "" if id == NONE else id


def _require_new(mine: list[str], topic: str, id: str) -> None:
    if id in mine[:-1]:
        raise ValueError(
            f"topic {topic}: its id is {id}, which was left for {mine[-1]}: going back would overwrite rows and "
            "leave new ones unjudged; delete the topic, create it again, and accept that one"
        )


def _read(store: ObjectStore) -> tuple[Ids, str | None]:
    """The ids, and the mark of what they were read from; none where nothing is there."""
    try:
        found = store.get(KEY)
        return msgspec.json.decode(found.data, type=Ids), found.etag
    except FileNotFoundError:
        return {}, None
    except UNREADABLE as error:
        raise ValueError(
            f"{store.name}/{KEY}: {error}, expected the ids of each topic; restore it from a backup"
        ) from error


def _changed(store: ObjectStore, change: Callable[[Ids], Ids]) -> Ids:
    """Changes what stands there, whatever other writers do, and returns it."""
    for _ in range(ATTEMPTS):
        ids, etag = _read(store)
        after = change(ids)
        if after == ids:
            return ids
        content = msgspec.json.format(msgspec.json.encode(after))
        if store.put_if_absent(KEY, content) if etag is None else store.put_if_match(KEY, content, etag):
            return after
    raise StorageError(f"{store.name}/{KEY}: other writers were quicker {ATTEMPTS} times in a row")
