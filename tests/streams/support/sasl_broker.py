"""The embedded broker with a second listener, for those with a password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.stack.kafka import EmbeddedKafka
from streams.log.settings import KafkaSettings

USER, PASSWORD, WRONG = "app", "pa55-w0rd-of-app", "an0ther-w0rd"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
LINES = f"""\
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config={LOGIN} user_{USER}="{PASSWORD}";
"""


def options(password: str = PASSWORD, mechanism: str = "PLAIN") -> dict[str, Any]:
    """As in [kafka.options]."""
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": USER,
        "sasl_plain_password": password,
    }


@dataclass(frozen=True, slots=True)
class SaslKafka(EmbeddedKafka):
    """`sasl_port`: where a password is asked for."""

    sasl_port: int = 0

    def as_user(self, password: str = PASSWORD, mechanism: str = "PLAIN") -> KafkaSettings:
        return KafkaSettings(f"127.0.0.1:{self.sasl_port}", options(password, mechanism))

    def _write_properties(self) -> Path:
        path = EmbeddedKafka._write_properties(self)
        here, mine = f"PLAINTEXT://127.0.0.1:{self.port}", f"SASL_PLAINTEXT://127.0.0.1:{self.sasl_port}"
        text = path.read_text().replace(f"listeners={here}", f"listeners={here},{mine}")
        text = text.replace("PLAINTEXT:PLAINTEXT\n", "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n")
        path.write_text(text + LINES)
        return path
