"""How long the broker keeps what a topic has."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from streams.log.settings import KafkaSettings
from streams.topics import Topic

SETTING = "retention.ms"


def retention_ms(settings: KafkaSettings, topics: Iterable[Topic]) -> dict[str, int]:
    """Return how long each topic keeps its records; -1 for those that keep them for ever. Topics are left out of which
    the broker does not tell this user. Raises KafkaError where it is away."""
    asked = [ConfigResource("TOPIC", topic.name, [SETTING]) for topic in topics]
    with closing(KafkaAdminClient(client_id="homeostat-retention", **settings.client)) as admin:
        found = next(iter(admin.describe_configs(asked, config_filter="all").values()))
    return {name: int(each[SETTING]["value"]) for name, each in found.items() if SETTING in each}
