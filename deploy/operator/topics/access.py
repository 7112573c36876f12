"""What each role may do at the brokers, and nothing else: as access rules, for Kafka's own command and for its
interface."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from streams.log.fitness.needs import NEEDS
from streams.log.settings import KafkaSettings
from streams.topics import TOPICS

ACCOUNT = "homeostat-{role}"  # the user of a role, where no other name is given
KEEPER = "topics"  # who creates and alters topics: `homeostat topics apply`
KEEPS = ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER", "ALTER_CONFIGS")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What a user may do with one topic or group, by the brokers' name; operations in Kafka's words."""

    user: str
    resource: str  # topic or group
    name: str
    operations: tuple[str, ...]


def roles() -> list[str]:
    """Return the roles that have an account of their own."""
    return [*NEEDS, KEEPER]


def rules(kafka: KafkaSettings, group: str, role: str, account: str = ACCOUNT) -> list[AccessRule]:
    """Return what a role needs. `group`: the workers', by our name; `account`: of the user, with `{role}` in it. Raise
    ValueError for an account without it: all roles would be one user."""
    if "{role}" not in account:
        raise ValueError(f"account is {account!r}, expected a name with {{role}} in it, such as {ACCOUNT}")
    user = account.replace("{role}", role)
    if role == KEEPER:
        return [AccessRule(user, "topic", kafka.physical(topic.name), KEEPS) for topic in TOPICS]
    needs = NEEDS[role]
    found = [
        AccessRule(user, "topic", kafka.physical(topic.name), (*needs.operations(topic), "DESCRIBE_CONFIGS"))
        for topic in needs.topics
    ]
    if needs.grouped:
        found.append(AccessRule(user, "group", kafka.physical(group), ("READ", *(["DELETE"] if needs.renews else []))))
    return found


def commands(found: Iterable[AccessRule], bootstrap: str) -> Iterator[str]:
    """Yield the `kafka-acls` commands that allow it: one for all topics with which a user may do the same."""
    same: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for each in found:
        same.setdefault((each.user, each.resource, each.operations), []).append(each.name)
    for (user, resource, operations), names in same.items():
        words = ["kafka-acls", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add"]
        words += ["--allow-principal", f"User:{user}"]
        words += [part for each in operations for part in ("--operation", camel(each))]
        words += [part for name in names for part in (f"--{resource}", name)]
        yield shlex.join(words)


def camel(operation: str) -> str:
    """Return an operation as Kafka's commands and Strimzi write it.

    >>> camel("DESCRIBE_CONFIGS")
    'DescribeConfigs'
    """
    return operation.title().replace("_", "")


def allow(admin: Any, found: Sequence[AccessRule]) -> list[str]:
    """Create the rules; those that are there already stay. Return a line for each. Raise PermissionError, with the
    first reason, where the brokers refuse."""
    refused = admin.create_acls([acl for each in found for acl in _acls(each)])["failed"]
    if refused:
        raise PermissionError(f"access rules are refused: {refused[0]}")
    return [
        f"allowed User:{each.user} {', '.join(map(camel, each.operations))} {each.resource} {each.name}"
        for each in found
    ]


def _acls(rule: AccessRule) -> list[ACL]:
    kind = ResourceType.TOPIC if rule.resource == "topic" else ResourceType.GROUP
    pattern = ResourcePattern(kind, rule.name)
    return [
        ACL(f"User:{rule.user}", "*", ACLOperation[each], ACLPermissionType.ALLOW, pattern) for each in rule.operations
    ]
