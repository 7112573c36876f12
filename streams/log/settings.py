"""How to reach the brokers, and what our topics are called and made of there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from streams.log.security.settings import SecuritySettings
from streams.topics import TOPICS, Topic, misfits

RECONNECT_MS = 2_000  # upstream waits up to 30 s between two tries: a broker that starts again is back in 12
NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
LONGEST_PREFIX = 200  # Kafka takes names of 249 signs
SECURED = ("security_protocol", "sasl_", "ssl_")  # how the options begin that [kafka.security] replaces


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers. `options` are further kafka-python settings (SASL, TLS)."""

    bootstrap: str = "127.0.0.1:9092"  # brokers as host:port, with commas between them
    options: dict[str, Any] = field(default_factory=dict, repr=False)  # a password may be among them
    prefix: str = ""  # of topics' names and the consumer group's, such as `team.`, where others share the brokers
    replication: int = 0  # copies of each partition of a topic that we create; 0: the brokers' default
    min_insync: int = 0  # copies that must have a record before it counts as written; 0: the brokers' default
    partitions: dict[str, int] = field(default_factory=dict)  # by topic, without the prefix; of others as documented
    security: SecuritySettings = field(default_factory=SecuritySettings)

    def __post_init__(self) -> None:
        """Raise ValueError for SASL without its settings (kafka-python would try for a while, and time out), and for
        topics that no brokers take."""
        _check_servers(self.servers)
        _check_names(self.prefix)
        _check_copies(self.replication, self.min_insync)
        _check_partitions(self.partitions)
        if self.security.used:
            if twice := sorted(name for name in self.options if name.startswith(SECURED)):
                raise ValueError(f"kafka.options has {', '.join(twice)}: expected none with kafka.security")
            return
        if not str(self.options.get("security_protocol", "")).startswith("SASL"):
            return
        by_password = str(self.options.get("sasl_mechanism", "")).startswith(("PLAIN", "SCRAM"))
        for name in ("sasl_mechanism", *(("sasl_plain_username", "sasl_plain_password") if by_password else ())):
            if not isinstance(self.options.get(name), str):
                raise ValueError(f"KafkaSettings.options has no {name}, expected one for SASL")

    @property
    def servers(self) -> list[str]:
        """Return the brokers that are asked first, each as host:port."""
        return [server.strip() for server in self.bootstrap.split(",")]

    @property
    def client(self) -> dict[str, Any]:
        """Return the settings of each client of kafka-python. Raise ValueError for files of no use."""
        from streams.log.client import BrokerClient  # a third of the time until an operator knows that Kafka is away

        security = self.security
        secrets = {"secrets": security.secrets} if security.username_file else {}
        return {
            "bootstrap_servers": self.bootstrap,
            "kafka_client": partial(BrokerClient, quiet_s=self.quiet_s, **secrets),
            "reconnect_backoff_max_ms": RECONNECT_MS,
            **self.options,
            **security.options(),
        }

    @property
    def quiet_s(self) -> float | None:
        """Return after how long without anything from the brokers a call is given up; None: by its own limits."""
        return None

    @property
    def secured(self) -> bool:
        """Return whether connections are encrypted."""
        return (self.security.used or str(self.options.get("security_protocol", ""))).endswith("SSL")

    def physical(self, name: str) -> str:
        """Return the brokers' name of a topic or a group.

        >>> KafkaSettings(prefix="team.").physical("inference.events")
        'team.inference.events'
        """
        return self.prefix + name

    def logical(self, name: str) -> str:
        """Return our name of a topic or a group, from the brokers'."""
        return name.removeprefix(self.prefix)

    def shaped(self, topics: Iterable[Topic]) -> list[Topic]:
        """Return topics with the partitions and copies that the settings want; their names stay ours.

        >>> from streams.topics import LEDGER
        >>> (each,) = KafkaSettings(replication=3, partitions={"loop.ledger": 2}).shaped([LEDGER])
        >>> each.partitions, each.replication
        (2, 3)
        """
        return [
            replace(
                each,
                partitions=self.partitions.get(each.name, each.partitions),
                replication=self.replication,
                min_insync=self.min_insync,
            )
            for each in topics
        ]


@dataclass(frozen=True, slots=True)
class HurriedKafka(KafkaSettings):
    """The same for a command, whose operator waits. Records that are being written have their own limit: half a minute,
    as whether one was written would not be known."""

    quiet_s: float = 5.0

    @classmethod
    def of(cls, settings: KafkaSettings, options: Mapping[str, Any]) -> HurriedKafka:
        """Return settings with further options, which yield to those that are given."""
        given = {each.name: getattr(settings, each.name) for each in fields(KafkaSettings)}
        return cls(**{**given, "options": {**options, **settings.options}})


def _check_servers(servers: Iterable[str]) -> None:
    for server in servers:
        host, _, port = server.rpartition(":")
        if "/" in host or not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
            raise ValueError(f"kafka.bootstrap has {server!r}, expected brokers as host:port, with commas between")


def _check_names(prefix: str) -> None:
    if strange := sorted(set(prefix) - NAME_SIGNS):
        raise ValueError(f"kafka.prefix is {prefix!r}: has {strange[0]!r}, expected letters, digits, '.', '_' and '-'")
    if len(prefix) > LONGEST_PREFIX:
        raise ValueError(f"kafka.prefix has {len(prefix)} signs, expected {LONGEST_PREFIX} at most")


def _check_copies(replication: int, min_insync: int) -> None:
    for name, value in (("replication", replication), ("min_insync", min_insync)):
        if value < 0:
            raise ValueError(f"kafka.{name} is {value}, expected 1 or more, or 0 for the brokers' default")
    if 0 < replication < min_insync:
        raise ValueError(
            f"kafka.min_insync is {min_insync} and kafka.replication {replication}: nothing could ever be written, "
            "expected min_insync below replication, such as 2 and 3"
        )


def _check_partitions(partitions: Mapping[str, int]) -> None:
    known = {topic.name: topic.partitions for topic in TOPICS}
    for name, count in partitions.items():
        if name not in known:
            raise ValueError(f"kafka.partitions has {name!r}, expected names among {', '.join(known)}")
        if count < 1:
            raise ValueError(f"kafka.partitions.{name} is {count}, expected 1 or more")
    if wrong := misfits(known | dict(partitions)):
        raise ValueError(f"kafka.partitions: {'; '.join(wrong)}")
