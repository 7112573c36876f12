"""What one role needs, looked at from where it would stand: run it on that host, in that pod, with its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kafka.errors import KafkaError

from deploy.doctor import engines, exposure, jobs, store
from deploy.doctor.alive import alive, own_port
from deploy.doctor.certificates import broker_certificates, certificates
from deploy.doctor.findings import Finding
from deploy.doctor.fitness import at_brokers
from deploy.doctor.labels import labels
from deploy.doctor.scoring import scoring
from deploy.doctor.services import ANSWER_S, Examined
from deploy.stack import ports
from deploy.stack.base_models import base_model_ids
from deploy.stack.broker import KafkaAway, reached
from deploy.stack.requirements import GIB, nearest_folder
from serving.rollout import operations
from streams.events import ReplicaAttested
from streams.files import probed
from streams.identity import process_name

Look = Callable[[Examined], Iterator[Finding]]
DISK = {
    "gateway": 1,
    "worker": 2,
    "controller": 4,
    "trainer": 20,
    "storage": 1,
    "renderer": 1,
    "replica": 4,
    "admin": 1,
}  # GiB that should be free


def examine(role: str, config: Examined) -> list[Finding]:
    """Check what the role needs; nothing that lasts is changed."""
    common: list[Look] = [lambda _: named(role), *(partial(look, role) for look in (folder, port, kafka))]
    return [finding for look in [*common, *LOOKS[role]] for finding in look(config)]


def named(role: str) -> Iterator[Finding]:
    """Show the name that the process would have."""
    yield Finding("name", True, process_name(role))


def folder(role: str, config: Examined) -> Iterator[Finding]:
    """Check that `stack.var` can be written and has room."""
    place = nearest_folder(config.stack.var)
    problem = probed(place, DISK[role] * GIB)
    remedy = "mount a volume of its own at stack.var, with room, that this user may write"
    yield Finding("stack.var", not problem, problem or f"{config.stack.var} can be written", remedy if problem else "")


def port(role: str, config: Examined) -> Iterator[Finding]:
    """Check that the role's own port is free, or taken by the role itself."""
    stack = config.stack
    key, number = own_port(role, config)
    try:
        ports.check(number, key, stack.bind)
    except OSError as error:
        ours = alive(role, config, ANSWER_S)
        yield Finding("port", ours, f"{stack.bind}:{number} answers as a role" if ours else str(error), _other(ours))
    else:
        yield Finding("port", True, f"{stack.bind}:{number} is free")


def kafka(role: str, config: Examined) -> Iterator[Finding]:
    """Check brokers, what the role may do there, and the certificates by which they know each other."""
    yield from broker_certificates(config.kafka.security)
    yield from at_brokers(role, config)


def tls(config: Examined) -> Iterator[Finding]:
    """Check when the certificates that a gateway shows or checks by will end."""
    gateway = config.gateway
    yield from _of_files({"gateway.tls_cert": gateway.tls_cert, "gateway.engine_ca": gateway.engine_ca})


def side_car_tls(config: Examined) -> Iterator[Finding]:
    """Check the same of a side-car."""
    yield from _of_files({"replica.tls_cert": config.replica.tls_cert, "replica.client_ca": config.replica.client_ca})


def admin_tls(config: Examined) -> Iterator[Finding]:
    """Check the same of the admin API."""
    yield from _of_files({"admin.tls_cert": config.admin.tls_cert})


def engine_tls(config: Examined) -> Iterator[Finding]:
    """Check the files by which engines of others are reached."""
    files: dict[str, Path] = {}
    for name, each in config.engines.items():
        files |= {f"engines.{name}.{key}": path for key in ("ca", "cert") if (path := getattr(each, key))}
    yield from certificates(files, datetime.now(UTC))


def asking(config: Examined) -> Iterator[Finding]:
    """Check the engines for a role that asks them and loads nothing: side-cars, where some are listed."""
    if config.replicas:
        yield from engines.side_cars(config.replicas, [each.replica for each in _attested(config)])
    if config.engines or not config.replicas:
        yield from engines.reached(config, datetime.now(UTC), loads=False)


def loading(config: Examined) -> Iterator[Finding]:
    """Check the engines for a role that loads adapters: none, where side-cars do."""
    if config.engines or not config.replicas:
        yield from engines.reached(config, datetime.now(UTC), loads=True)


def evaluating(config: Examined) -> Iterator[Finding]:
    """Check that a trainer has an engine to load candidates into: a side-car loads nothing on demand."""
    if config.replicas and not config.engines and config.retrain.own_engine == "never":
        detail = 'retrain.own_engine is "never", and side-cars load no candidate'
        yield Finding("evaluations", False, detail, 'set it to "always", or list an engine for them in [engines]')


def model(config: Examined) -> Iterator[Finding]:
    """Check that the base model is the one that engines attest."""
    try:
        own, _ = base_model_ids(config.stack)
    except (OSError, ValueError) as error:
        yield Finding("model", False, str(error), "set stack.model, or stack.model_id where the model is not here")
        return
    yield Finding("model", True, f"{own} (stack.model_id for hosts without its folder)")
    for each in _attested(config):
        if each.base_model != own:
            detail = f"{each.replica} at {each.url} attests {each.base_model}, here it is {own}"
            yield Finding("model", False, detail, "one base model for all: stack.model, stack.model_id, the engine's")


def _of_files(files: Mapping[str, Path | None]) -> Iterator[Finding]:
    yield from certificates({key: path for key, path in files.items() if path}, datetime.now(UTC))


def _attested(config: Examined) -> list[ReplicaAttested]:
    """Return the last attestation of each replica; none where Kafka does not say, which is a finding of its own."""
    try:
        return operations.attestations(reached(config.kafka))
    except (KafkaAway, KafkaError, OSError, LookupError):
        return []


def _other(ours: bool) -> str:
    return "" if ours else "stop what has it, or set another port"


LOOKS: dict[str, list[Look]] = {
    "gateway": [asking, tls, engine_tls, labels, exposure.gateways],
    "worker": [store.written, scoring, labels],
    "controller": [store.listed, loading, engine_tls, model],
    "trainer": [store.written, loading, engine_tls, model, scoring, evaluating, jobs.taken],
    "storage": [store.written],
    "renderer": [store.written],
    "replica": [store.listed, side_car_tls],
    "admin": [store.written, admin_tls, exposure.admin_api],
}
