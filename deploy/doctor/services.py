"""The checks of brokers, topics and engines. Nothing is changed, and no answer is waited for long."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.doctor.findings import Finding
from deploy.stack import processes
from deploy.stack.broker import REMEDY, KafkaAway, reached
from deploy.stack.lifecycle import Stacked, members
from deploy.stack.topics import Faults, faults
from monitor.canonical import UNREADABLE
from monitor.settings import LabelSettings
from retrain.settings import RetrainSettings
from serving.settings import GatewaySettings
from serving.sidecar.settings import ListedReplica, SideCarSettings
from streams.log import topic_ids as incarnations
from streams.log.settings import KafkaSettings
from streams.log.topic_ids import REMEMBERED, TopicIds
from streams.objects.opening import Storage
from streams.objects.store import StorageError
from streams.scoring.settings import ScoringSettings
from streams.settings import WorkerSettings
from streams.topics import TOPICS, kept_for

ANSWER_S = 1.5
CREATES = "`homeostat topics apply` creates topics that are missing; so does `homeostat up`, where it starts the stack"
SETS = "`homeostat up` sets what differs"
OWN = "`homeostat topics apply` sets it, where you have no reason for it"


class Certified(Protocol):
    """The part of the admin API's settings that the doctor reads."""

    @property
    def tls_cert(self) -> Path | None: ...


class Examined(Stacked, Protocol):
    """The part of the configuration that the doctor reads."""

    @property
    def kept(self) -> Storage: ...
    @property
    def gateway(self) -> GatewaySettings: ...
    @property
    def labels(self) -> LabelSettings: ...
    @property
    def replica(self) -> SideCarSettings: ...
    @property
    def replicas(self) -> Mapping[str, ListedReplica]: ...
    @property
    def retrain(self) -> RetrainSettings: ...
    @property
    def worker(self) -> WorkerSettings: ...
    @property
    def admin(self) -> Certified: ...
    @property
    def scoring(self) -> ScoringSettings: ...


class _ServedModel(msgspec.Struct, frozen=True):
    id: str


class _ServedModels(msgspec.Struct, frozen=True):
    data: list[_ServedModel]


def brokers(config: Examined) -> Iterator[Finding]:
    """Check that a broker answers, and that its topics are as they must be."""
    try:
        kafka = reached(config.kafka)
    except KafkaAway as error:
        yield _away(config, "Kafka", str(error).removesuffix(f": {REMEDY}"), REMEDY)
        return
    try:
        with closing(KafkaAdminClient(client_id="homeostat-doctor", **kafka.client)) as admin:
            wrong = faults(admin, kafka, kept_for(TOPICS, config.labels.wait_s))
        yield Finding("Kafka", True, f"{config.kafka.bootstrap} answers")
        yield from _topics(config, kafka, wrong)
    except (KafkaError, OSError, LookupError, ValueError) as error:
        yield Finding("Kafka", False, f"{config.kafka.bootstrap}: {error}", "mend the brokers, or see [kafka]")


def engines(config: Stacked) -> Iterator[Finding]:
    """Check that each engine answers, and list the models that it serves."""
    urls = config.stack.engine_urls()
    with ThreadPoolExecutor(len(urls)) as pool:
        for (name, url), found in zip(urls.items(), pool.map(_models, urls.values()), strict=True):
            if isinstance(found, str):
                yield _away(config, name, f"{url} {found}", f"`homeostat up` starts it; its log is {name}.log")
            else:
                yield Finding(name, True, f"{url} serves {', '.join(found) or 'nothing'}")


def _topics(config: Examined, kafka: KafkaSettings, wrong: Faults) -> Iterator[Finding]:
    recreated = [] if wrong.missing else list(replaced(config, kafka))
    if not wrong and not recreated:
        yield Finding("topics", True, "all there, with the partitions and settings they must have")
    for each in wrong.missing:
        yield _away(config, "topics", each, CREATES)
    for each in wrong.misfits:
        yield Finding("topics", False, each.rpartition("; ")[0], each.rpartition("; ")[2])
    for each in wrong.differing:
        yield Finding("topics", False, each, SETS if config.stack.embedded_kafka else OWN, needed=False)
    yield from recreated


def replaced(config: Examined, kafka: KafkaSettings) -> Iterator[Finding]:
    """Check that topics are those that the lake knows."""
    store = config.kept.objects(ANSWER_S)
    try:
        names = [topic.name for topic in REMEMBERED if topic.name in incarnations.known(store)]
    except StorageError:  # a check of its own says so
        return
    if not names:
        return
    with closing(TopicIds(kafka)) as topic_ids:
        for error in incarnations.recreated(store, topic_ids.of(names)):
            detail, _, remedy = str(error).rpartition(". ")
            yield Finding("topics", False, detail, remedy)


def _away(config: Stacked, name: str, detail: str, remedy: str) -> Finding:
    """Return a finding that is needed once a part of the stack runs: before `up` nothing needs to run."""
    running = any(processes.find(member.name, config.stack.var) for member in members(config, None))
    own = name == "Kafka" and not config.stack.embedded_kafka
    return Finding(name, False, detail, remedy, needed=running or own)


def read_models(data: bytes) -> list[str]:
    """Return the names in an engine's list of models. Raise ValueError where it is none."""
    try:
        return [model.id for model in msgspec.json.decode(data, type=_ServedModels).data]
    except UNREADABLE as error:
        raise ValueError(str(error)) from error


def _models(url: str) -> list[str] | str:
    """Return the names of its models, or the problem."""
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=ANSWER_S) as answer:  # noqa: S310 - our own address
            return read_models(answer.read())
    except urllib.error.HTTPError as error:
        return f"answers {error.code} when asked for its models"
    except TimeoutError:
        return f"does not answer within {ANSWER_S:g} s"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"cannot be reached ({getattr(reason, 'strerror', None) or reason})"
