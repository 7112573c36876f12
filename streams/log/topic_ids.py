"""The ids of topics. A topic that is deleted and created again counts from 0 again, under an id of its own (KIP-516):
its offsets are not those that the lake and the judge know under the same name.

`topics.json` in the lake's folder holds, for each topic, the ids it had, oldest first. The place of an id in that list
is its incarnation: 0 for the topic that the lake began with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.files import locked, put
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE, RESULTS, SCORES, STATE

NAME = "topics.json"
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


def known(root: Path) -> Ids:
    """Return the ids that the lake's topics had. Raises ValueError for a file that cannot be read."""
    path = root / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ids)
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}, expected the ids of each topic; restore it from a backup") from error


def incarnation(root: Path, topic: str, id: str) -> int:
    """Return the incarnation of a topic with this id; the first id of a topic is remembered. Raises TopicRecreated
    where the lake knows another id as the present one."""
    ids = known(root).get(topic) or _begun(root, topic, id)
    if ids[-1] != id:
        raise TopicRecreated(topic, ids[-1], id)
    return len(ids) - 1


def accept(root: Path, topic: str, id: str) -> bool:
    """Make the id the present one of its topic, and return whether it was another. Raises ValueError for an id that the
    topic had before and left: lake and judge have its records already, and would overwrite or drop the new ones."""
    with locked(_lock(root)):
        ids = known(root)
        mine = ids.get(topic, [])
        if mine[-1:] == [id]:
            return False
        require_new(root, topic, id)
        _write(root, ids | {topic: [*mine, id]})
        return True


def require_new(root: Path, topic: str, id: str) -> None:
    """Raise ValueError for an id that the topic had and left."""
    mine = known(root).get(topic, [])
    if id in mine[:-1]:
        raise ValueError(
            f"topic {topic}: its id is {id}, which was left for {mine[-1]}: going back would overwrite rows and "
            "leave new ones unjudged; delete the topic, create it again, and accept that one"
        )


def recreated(root: Path, found: Mapping[str, str]) -> list[TopicRecreated]:
    """Return which of the topics found (name to id) were created again; the first id of a topic is remembered."""
    refused = []
    for topic, id in found.items():
        try:
            incarnation(root, topic, id)
        except TopicRecreated as error:
            refused.append(error)
    return refused


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
        """Return the ids of several topics, with the same errors."""
        with self._lock:
            try:
                self._admin = self._admin or KafkaAdminClient(client_id="homeostat-topic-ids", **self._kafka.client)
                found = {each["name"]: each for each in self._admin.describe_topics(list(topics))}
                cluster = "" if all(map(_topic_id, found.values())) else self._admin.describe_cluster()["cluster_id"]
            except KafkaError:
                self._close()
                raise
        return {topic: _topic_id(_there(topic, found)) or f"cluster {cluster}" for topic in topics}

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
        raise LookupError(f"topic {topic!r} does not exist; `homeostat up` creates the topics")
    return found[topic]


def _topic_id(described: Mapping[str, Any]) -> str:
    """Empty where the broker gives topics none."""
    id = str(described.get("topic_id") or NONE)
    return "" if id == NONE else id


def _begun(root: Path, topic: str, id: str) -> list[str]:
    """Remembers a topic's first id, unless another worker was faster."""
    with locked(_lock(root)):
        ids = known(root)
        if topic not in ids:
            _write(root, ids | {topic: [id]})
        return ids.get(topic, [id])


def _write(root: Path, ids: Ids) -> None:
    put(root / NAME, msgspec.json.format(msgspec.json.encode(ids)))


def _lock(root: Path) -> Path:
    return root / f".{NAME}.lock"
