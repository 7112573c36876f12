"""What the brokers say about topics and about what this user may do with them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    NotCoordinatorError,
    for_code,
)

from streams.log.settings import KafkaSettings

RETRIED = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
ABSENT = "does not exist"  # why nothing can be known about a topic
COORDINATOR_S, LOOK_AGAIN_S = 10.0, 0.2


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as it is. `config` is empty where this user may not know it, `operations` None where the broker does not
    say what this user may do."""

    name: str  # ours
    partitions: int
    replication: int  # copies of the partition that has fewest
    config: Mapping[str, str] = field(default_factory=dict)
    operations: frozenset[str] | None = None


def topics_found(kafka: KafkaSettings, names: Iterable[str], keys: Iterable[str]) -> dict[str, FoundTopic | str]:
    """Return each topic by our name, with the settings `keys`, or why nothing can be known about it. Raises KafkaError
    where the brokers are away."""
    with closing(KafkaAdminClient(client_id="homeostat-fitness", **kafka.client)) as admin:
        return described(admin, kafka, names, keys)


def described(
    admin: Any, kafka: KafkaSettings, names: Iterable[str], keys: Iterable[str]
) -> dict[str, FoundTopic | str]:
    """Return as `topics_found`, over a connection that is there."""
    asked = [kafka.physical(name) for name in names]
    topics = {each["name"]: each for each in admin.describe_topics(asked)} if asked else {}
    there = [name for name in asked if name in topics and not topics[name]["error_code"]]
    configs = _configs(admin, there, list(keys))
    found: dict[str, FoundTopic | str] = {}
    for name in asked:
        code = topics[name]["error_code"] if name in topics else 3
        known = (
            FoundTopic(
                kafka.logical(name),
                len(topics[name]["partitions"]),
                min((len(each["replica_nodes"]) for each in topics[name]["partitions"]), default=0),
                configs.get(name, {}),
                frozenset(topics[name].get("authorized_operations") or ()) or None,
            )
            if not code
            else None
        )
        found[kafka.logical(name)] = known or _why(code)
    return found


def group_found(kafka: KafkaSettings, group: str) -> frozenset[str] | None:
    """Return what this user may do with a consumer group: nothing where it may not even look at it. None: brokers do
    not say, or there is no such group yet."""
    name, deadline = kafka.physical(group), time.monotonic() + COORDINATOR_S
    with closing(KafkaAdminClient(client_id="homeostat-fitness", **kafka.client)) as admin:
        while True:
            try:
                return _allowed(admin.describe_groups([name])[name])
            except GroupAuthorizationFailedError:
                return frozenset()
            except RETRIED:  # brokers that have just begun have no coordinator yet
                if time.monotonic() > deadline:
                    return None
                time.sleep(LOOK_AGAIN_S)


def _allowed(group: Mapping[str, Any]) -> frozenset[str] | None:
    if error := group.get("error"):
        return frozenset() if GroupAuthorizationFailedError.__name__ in str(error) else None
    return frozenset(group.get("authorized_operations") or ()) or None


def _configs(admin: Any, names: list[str], keys: list[str]) -> dict[str, dict[str, str]]:
    if not names or not keys:
        return {}
    asked = [ConfigResource("TOPIC", name, keys) for name in names]
    answered: dict[str, Any] = next(iter(admin.describe_configs(asked, config_filter="all").values()), {})
    return {name: {key: str(each["value"]) for key, each in found.items()} for name, found in answered.items()}


def _why(code: int) -> str:
    return ABSENT if code == 3 else f"cannot be looked at ({for_code(code).__name__})"
