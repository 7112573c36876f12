"""A role looks at its topics when it starts, and names what is wrong with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import structlog
from kafka.errors import KafkaError

from streams.log.fitness.found import FoundTopic, group_found, topics_found
from streams.log.fitness.needs import NEEDS, RoleNeeds
from streams.log.fitness.problems import KEYS, forbidden, unfit, unknown_settings
from streams.log.settings import KafkaSettings

log = structlog.get_logger()


def role_problems(kafka: KafkaSettings, role: str, wait_s: int | None = None, group: str = "") -> list[str]:
    """Return what is wrong with the topics of a role, a line each: none where all is well. Raises LookupError for
    topics that do not exist or that this user may not look at, KafkaError where the brokers are away. `group`: the
    workers', by our name."""
    return list(_problems(kafka, NEEDS[role], wait_s, group))


def check_role(kafka: KafkaSettings, role: str, wait_s: int | None = None, group: str = "") -> None:
    """Raise ValueError, with everything that is wrong with the topics of a role, and the errors of `role_problems`."""
    if wrong := role_problems(kafka, role, wait_s, group):
        raise ValueError("; ".join(wrong))


def watch_role(kafka: KafkaSettings, role: str) -> threading.Thread:
    """Log what is wrong with the topics of a role that starts whatever the brokers do, from a thread of its own."""
    thread = threading.Thread(target=_logged, args=(kafka, role), name=f"fitness-{role}", daemon=True)
    thread.start()
    return thread


def _logged(kafka: KafkaSettings, role: str) -> None:
    try:
        for each in role_problems(kafka, role):
            log.error("topics are not as they must be", role=role, problem=each)
    except LookupError as error:
        log.error("topics are not as they must be", role=role, problem=str(error))
    except (KafkaError, OSError, ValueError) as error:
        log.warning("topics cannot be looked at", role=role, error=str(error))


def _problems(kafka: KafkaSettings, needs: RoleNeeds, wait_s: int | None, group: str) -> Iterator[str]:
    found = topics_found(kafka, [topic.name for topic in needs.topics], KEYS)
    if lacking := [topic for topic in needs.topics if not isinstance(found[topic.name], FoundTopic)]:
        raise LookupError("; ".join(unfit(lacking, {topic.name: found[topic.name] for topic in lacking})))
    if unknown := unknown_settings(found):
        log.warning("topics' settings are not known: this user may not DescribeConfigs", topics=unknown)
    yield from unfit(needs.topics, found, wait_s)
    yield from forbidden(needs, found)
    if needs.grouped and group:
        allowed = group_found(kafka, group)
        if allowed is not None and "READ" not in allowed:
            yield f"this user may not Read group {kafka.physical(group)}, expected for the role {needs.role}"
