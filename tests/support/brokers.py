"""Brokers as others run them: one that knows users by password, token and certificate, and lets each do what its access
list says; and three that hold copies of each partition."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from deploy.stack import ports, processes
from deploy.stack.kafka import PROPERTIES, EmbeddedKafka, cluster_id
from streams.log.security.settings import SecuritySettings
from streams.log.settings import KafkaSettings
from tests.support.authority import Authority

HOST = "127.0.0.1"
LOGIN = "org.apache.kafka.common.security"
SECURED = """\
auto.create.topics.enable=true
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
ssl.keystore.type=PEM
ssl.keystore.location={both}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/
listener.name.mtls.ssl.client.auth=required
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.scram.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.scram.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required;
listener.name.oauth.oauthbearer.connections.max.reauth.ms={reauth_ms}
"""
KINDS = {"SCRAM": "SASL_SSL", "OAUTH": "SASL_PLAINTEXT", "MTLS": "SSL"}
# prints a token that the broker takes without a signature, for the user and the seconds given; notes that it ran
PRINTS = """
import base64, json, sys, time
user, seconds, ran = sys.argv[1], float(sys.argv[2]), sys.argv[3]
open(ran, "a").write(user + "\\n")
part = lambda claims: base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
now = time.time()
print(part({"alg": "none"}) + "." + part({"sub": user, "iat": now, "exp": now + seconds}) + ".")
"""


@dataclass(frozen=True, slots=True)
class SecuredKafka(EmbeddedKafka):
    """The embedded broker with three more listeners: `kafka.port` is the administrator's, without a password."""

    authority: Authority | None = None
    listeners: tuple[tuple[str, int], ...] = ()
    reauth_ms: int = 3_600_000

    @classmethod
    def at(cls, folder: Path, cache: Path, reauth_ms: int = 3_600_000) -> SecuredKafka:
        """One in that folder, not started."""
        port, *others = ports.free(1 + len(KINDS))
        listeners = tuple(zip(KINDS, others, strict=True))
        return cls(folder / "kafka", port, cache, "secured", Authority(folder / "pki"), listeners, reauth_ms)

    def client(self, kind: str, security: SecuritySettings, base: KafkaSettings | None = None) -> KafkaSettings:
        """How a user reaches the listener of that kind."""
        return replace(base or KafkaSettings(), bootstrap=f"{HOST}:{dict(self.listeners)[kind]}", security=security)

    def set_password(self, user: str, password: str, mechanism: str = "SCRAM-SHA-512") -> None:
        admin = KafkaAdminClient(**self.settings.client)
        kind = ScramMechanism[mechanism.replace("-", "_")]
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, kind, password)])
        admin.close()

    def _write_properties(self) -> Path:
        assert self.authority is not None
        path = EmbeddedKafka._write_properties(self)
        here = f"PLAINTEXT://{HOST}:{self.port}"
        mine = ",".join(f"{kind}://{HOST}:{port}" for kind, port in self.listeners)
        text = path.read_text().replace(here, f"{here},{mine}")
        kinds = ",".join(f"{kind}:{protocol}" for kind, protocol in KINDS.items())
        text = text.replace("PLAINTEXT:PLAINTEXT\n", f"PLAINTEXT:PLAINTEXT,{kinds}\n")
        both = self.authority.sign("broker").both
        path.write_text(text + SECURED.format(both=both, ca=self.authority.ca, login=LOGIN, reauth_ms=self.reauth_ms))
        return path


def by_password(folder: Path, user: str, password: str, ca: Path, mechanism: str = "SCRAM-SHA-512") -> SecuritySettings:
    """A user by its password, in files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "user").write_text(f"{user}\n")
    (folder / "password").write_text(f"{password}\n")
    return SecuritySettings(
        sasl_mechanism=mechanism,  # type: ignore[arg-type]
        username_file=folder / "user",
        password_file=folder / "password",
        ca=ca,
    )


def by_token(folder: Path, user: str, seconds: float = 600) -> SecuritySettings:
    """A user by tokens; `folder`/ran has a line for each run of the command."""
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-c", PRINTS, user, str(seconds), str(folder / "ran"))
    return SecuritySettings(protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", token_command=command)


@dataclass(frozen=True, slots=True)
class ClusterKafka(EmbeddedKafka):
    """One of several brokers that are one cluster."""

    number: int = 1
    cluster: str = ""
    controllers: tuple[int, ...] = ()  # their ports

    def kill(self) -> None:
        """End it as a machine does that loses its power."""
        child = processes.remembered(self.name, self.data_dir)
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)

    def _write_properties(self) -> Path:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        mine, logs = self.controllers[self.number - 1], self.data_dir / "logs"
        text = PROPERTIES.format(port=self.port, controller_port=mine, logs=logs)
        voters = ",".join(f"{i}@{HOST}:{port}" for i, port in enumerate(self.controllers, 1))
        text = text.replace(f"voters=1@{HOST}:{mine}", f"voters={voters}").replace(
            "node.id=1", f"node.id={self.number}"
        )
        text = text.replace("replication.factor=1", "replication.factor=3").replace("log.min.isr=1", "log.min.isr=2")
        path = self.data_dir / "server.properties"
        path.write_text(text + "broker.session.timeout.ms=6000\n")
        return path

    def _cluster_id(self) -> str:
        return self.cluster


@contextmanager
def three_brokers(folder: Path, cache: Path) -> Iterator[tuple[KafkaSettings, list[ClusterKafka]]]:
    """Three brokers of one cluster, and the settings with which each partition has three copies, of which two must have
    a record."""
    (*every, a, b, c), cluster = ports.free(6), cluster_id()
    controllers = (a, b, c)
    brokers = [
        ClusterKafka(folder / f"kafka-{i}", port, cache, f"kafka-{i}", i, cluster, controllers)
        for i, port in enumerate(every, 1)
    ]
    with ThreadPoolExecutor(len(brokers)) as pool:
        try:
            list(pool.map(ClusterKafka.start, brokers))
            servers = ",".join(f"{HOST}:{port}" for port in every)
            yield KafkaSettings(servers, replication=3, min_insync=2, prefix="team-a."), brokers
        finally:
            list(pool.map(ClusterKafka.stop, brokers))
