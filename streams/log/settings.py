"""How to reach the brokers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streams.log.client import BrokerClient

RECONNECT_MS = 2_000  # upstream waits up to 30 s between two tries: a broker that starts again is back in 12


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers. `options` are further kafka-python settings (SASL, TLS)."""

    bootstrap: str = "127.0.0.1:9092"  # brokers as host:port, with commas between them
    options: dict[str, Any] = field(default_factory=dict, repr=False)  # a password may be among them

    def __post_init__(self) -> None:
        """Raise ValueError for SASL without its settings: kafka-python would try for a while, and time out."""
        if not str(self.options.get("security_protocol", "")).startswith("SASL"):
            return
        by_password = str(self.options.get("sasl_mechanism", "")).startswith(("PLAIN", "SCRAM"))
        for name in ("sasl_mechanism", *(("sasl_plain_username", "sasl_plain_password") if by_password else ())):
            if not isinstance(self.options.get(name), str):
                raise ValueError(f"KafkaSettings.options has no {name}, expected one for SASL")

    @property
    def client(self) -> dict[str, Any]:
        """Return the settings of each client of kafka-python."""
        return {
            "bootstrap_servers": self.bootstrap,
            "kafka_client": BrokerClient,
            "reconnect_backoff_max_ms": RECONNECT_MS,
            **self.options,
        }
