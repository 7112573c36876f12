"""The check of what a role does at the brokers: topics and their settings, what it may do, and who is called what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from kafka.errors import KafkaError

from deploy.doctor.findings import Finding
from deploy.doctor.names import names
from deploy.doctor.services import Examined, replaced
from deploy.stack.broker import REMEDY, KafkaAway, reached
from streams.log.fitness.needs import NEEDS
from streams.log.fitness.problems import ALLOWED
from streams.log.fitness.role import role_problems
from streams.log.settings import KafkaSettings
from streams.topics import CREATES

UNUSABLE = (
    "a broker answers there; look at [kafka] security, and whether the addresses that brokers advertise lead here"
)
ACCOUNTS = {"admin": "operator"}  # roles that do what another does


def at_brokers(role: str, config: Examined) -> Iterator[Finding]:
    """Check that a broker answers, and that it lets the role do what it does."""
    try:
        kafka = reached(config.kafka)
    except KafkaAway as error:
        yield Finding("Kafka", False, str(error).removesuffix(f": {REMEDY}"), REMEDY)
        return
    needs = NEEDS[ACCOUNTS.get(role, role)]
    try:
        yield from fit(needs.role, config, kafka)
        with suppress(LookupError):  # topics that are missing: `fit` says so
            yield from names(kafka, needs.reads)
    except (KafkaError, OSError, ValueError) as error:
        yield Finding("Kafka", False, f"{config.kafka.bootstrap}: {error}", UNUSABLE)


def fit(role: str, config: Examined, kafka: KafkaSettings) -> Iterator[Finding]:
    """Check the topics that a role reads and writes, and its rights. Raise KafkaError, OSError."""
    wait_s = config.labels.wait_s if role == "worker" else None
    try:
        wrong = role_problems(kafka, role, wait_s, config.worker.app_id)
    except LookupError as error:
        remedies = [each for each in (CREATES, ALLOWED) if each in str(error)]
        detail = str(error).replace(f"; {CREATES}", "").replace(f"; {ALLOWED}", "")
        yield Finding("topics", False, detail, ", ".join(remedies))
        return
    yield Finding("Kafka", True, f"{config.kafka.bootstrap} answers")
    for each in wrong:
        detail, _, remedy = each.rpartition("; ")
        yield Finding("topics", False, detail or each, remedy if detail else ALLOWED)
    recreated = list(replaced(config, kafka)) if role == "worker" else []
    yield from recreated
    if not wrong and not recreated:
        yield Finding("topics", True, f"those of the role {role} are as they must be, and it may do what it does there")
