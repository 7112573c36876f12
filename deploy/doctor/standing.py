"""What one role needs, looked at from where it would stand: run it on that host, in that pod, with its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kafka.errors import KafkaError

from deploy.doctor import engines, exposure, jobs, side_cars, store
from deploy.doctor.alive import alive, own_port
from deploy.doctor.certificates import broker_certificates, certificates, tls_of_brokers
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
    """Check that the role's own ports are free, or taken by the role itself."""
    stack = config.stack
    key, own = own_port(role, config)
    ours = alive(role, config, ANSWER_S)
    for name, host, number in ((key, stack.bind, own), *_clients(role, config)):
        if ours:
            yield Finding("port", True, f"{host}:{number} is the running role's")
            continue
        try:
            ports.check(number, name, host)
        except OSError as error:
            yield Finding("port", False, str(error), "stop what has it, or set another port")
        else:
            yield Finding("port", True, f"{host}:{number} is free")


def _clients(role: str, config: Examined) -> list[tuple[str, str, int]]:
    """Return where a role takes requests, apart from probes."""
    own = config.replica
    return {
        "gateway": [("stack.gateway_port", config.gateway.host, config.stack.gateway_port)],
        "replica": [("replica.port", own.host, own.port)],
    }.get(role, [])


def kafka(role: str, config: Examined) -> Iterator[Finding]:
    """Check brokers, what the role may do there, and the certificates by which they know each other."""
    yield from broker_certificates(config.kafka.security)
    yield from tls_of_brokers(config.kafka, datetime.now(UTC))
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
    """Check the files by which engines and side-cars are reached."""
    files: dict[str, Path] = {}
    for table, entries in (("engines", config.engines), ("replicas", config.replicas)):
        for name, each in entries.items():
            files |= {f"{table}.{name}.{key}": path for key in ("ca", "cert") if (path := getattr(each, key))}
    yield from certificates(files, datetime.now(UTC))


def asking(config: Examined) -> Iterator[Finding]:
    """Check what a gateway sends requests to: the side-cars of the list, else the engines."""
    now = datetime.now(UTC)
    if config.replicas:
        yield from side_cars.listed(config, [each.replica for each in _attested(config)], now)
    else:
        yield from engines.reached(config, now, loads=False)


def loading(config: Examined) -> Iterator[Finding]:
    """Check the engines that a controller looks after, and its base model; side-cars look after their own."""
    if config.replicas:
        yield Finding("engines", True, "the side-cars of [replicas] look after them")
        return
    yield from engines.reached(config, datetime.now(UTC), loads=True)
    yield from model(config)


def evaluating(config: Examined) -> Iterator[Finding]:
    """Check the engines on which a trainer's candidates are evaluated."""
    if config.retrain.own_engine == "always":
        yield Finding("engines", True, "evaluations start one of their own (retrain.own_engine)")
    elif config.replicas and not config.engines:
        detail = f'side-cars load no candidates, and retrain.own_engine is "{config.retrain.own_engine}"'
        remedy = 'set retrain.own_engine = "always", or name an engine for evaluations in [engines]'
        yield Finding("engines", False, detail, remedy, needed=config.retrain.own_engine == "never")
    else:
        yield from engines.reached(config, datetime.now(UTC), loads=True)


def behind(config: Examined) -> Iterator[Finding]:
    """Check what a side-car needs of its own, and the engine behind it."""
    yield from side_cars.own(config, datetime.now(UTC))


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
    """Return the log's attestations; none where it cannot be read, which a finding of its own says."""
    try:
        return operations.attestations(reached(config.kafka))
    except (KafkaAway, KafkaError, OSError, LookupError):
        return []


LOOKS: dict[str, list[Look]] = {
    "gateway": [asking, tls, engine_tls, labels, exposure.gateways],
    "worker": [store.written, scoring, labels],
    "controller": [store.listed, loading, engine_tls],
    "trainer": [store.written, evaluating, engine_tls, model, scoring, jobs.taken],
    "storage": [store.written],
    "renderer": [store.written],
    "replica": [store.listed, behind, side_car_tls, model],
    "admin": [store.written, admin_tls, exposure.admin_api],
}
