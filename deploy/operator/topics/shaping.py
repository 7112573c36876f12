"""What there is at the brokers against what there should be, and how the one becomes the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.config.settings import Config
from deploy.operator.topics import access, strimzi
from deploy.stack.topics import connected, faults, planned
from streams.log.fitness.role import role_problems
from streams.topics import TOPICS, Topic, kept_for

WAIT_S = 10.0


def wanted(config: Config) -> list[Topic]:
    """Return the topics as the configuration wants them."""
    return kept_for(TOPICS, config.labels.wait_s)


def plan(config: Config) -> list[str]:
    """Return what `apply` would do, a line each, and what it cannot do."""
    with connected(config.kafka, WAIT_S) as admin:
        found = planned(admin, config.kafka, wanted(config))
    return [*found.lines(), *found.beyond]


def apply(config: Config) -> tuple[list[str], list[str]]:
    """Make the topics as they should be; return what was done, and what remains to be done by other means."""
    with connected(config.kafka, WAIT_S) as admin:
        found = planned(admin, config.kafka, wanted(config))
        found.apply(admin, config.kafka)
    return found.lines(done=True), found.beyond


def allow(config: Config, roles: Sequence[str], account: str) -> list[str]:
    """Create the roles' access rules; return a line for each."""
    rules = [rule for role in roles for rule in _rules(config, role, account)]
    with connected(config.kafka, WAIT_S) as admin:
        return access.allow(admin, rules)


def differences(config: Config) -> list[str]:
    """Return everything in which the topics are not as they should be."""
    with connected(config.kafka, WAIT_S) as admin:
        found = faults(admin, config.kafka, wanted(config))
    return [*found.missing, *found.misfits, *found.differing]


def hindrances(config: Config, role: str) -> list[str]:
    """Return what hinders a role that has this configuration's account, as it would say when it starts."""
    return role_problems(config.kafka, role, config.labels.wait_s, config.worker.app_id)


def acl_commands(config: Config, roles: Sequence[str], account: str) -> Iterator[str]:
    """Yield the commands that give the roles what they need."""
    for role in roles:
        yield from access.commands(_rules(config, role, account), config.kafka.bootstrap)


def resources(config: Config, cluster: str, roles: Sequence[str], account: str, authentication: str) -> str:
    """Return topics and users for Strimzi, as YAML."""
    topics = [strimzi.topic_resource(each, config.kafka, cluster) for each in config.kafka.shaped(wanted(config))]
    users = []
    for role in roles:
        rules = _rules(config, role, account)
        users.append(strimzi.user_resource(rules[0].user, rules, cluster, authentication))
    return strimzi.documents([*topics, *users])


def _rules(config: Config, role: str, account: str) -> list[access.AccessRule]:
    return access.rules(config.kafka, config.worker.app_id, role, account)
