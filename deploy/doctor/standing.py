"""What one role needs, looked at from where it would stand: run it on that host, in that pod, with its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from kafka.errors import KafkaError

from deploy.doctor import engines, store
from deploy.doctor.alive import own_port
from deploy.doctor.certificates import certificates
from deploy.doctor.findings import Finding
from deploy.doctor.labels import labels
from deploy.doctor.names import names
from deploy.doctor.scoring import scoring
from deploy.doctor.services import Examined, brokers
from deploy.stack import ports
from deploy.stack.base_models import base_model_ids
from deploy.stack.broker import KafkaAway, reached
from deploy.stack.engine import answers_ok
from deploy.stack.requirements import GIB, nearest_folder
from serving.rollout import operations
from streams.files import probed
from streams.identity import process_name
from streams.log.settings import KafkaSettings

Look = Callable[[Examined], Iterator[Finding]]
DISK = {
    "gateway": 1,
    "worker": 2,
    "controller": 4,
    "trainer": 20,
    "storage": 1,
    "renderer": 1,
    "replica": 4,
}  # GiB that should be free


def examine(role: str, config: Examined) -> list[Finding]:
    """Check what the role needs; nothing that lasts is changed."""
    common: list[Look] = [lambda _: named(role), lambda each: folder(role, each), lambda each: port(role, each), kafka]
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
        ours = answers_ok(f"http://{stack.here()}:{number}/healthz")
        yield Finding("port", ours, f"{stack.bind}:{number} answers as a role" if ours else str(error), _other(ours))
    else:
        yield Finding("port", True, f"{stack.bind}:{number} is free")


def kafka(config: Examined) -> Iterator[Finding]:
    """Check brokers and topics, and who is called what in the log."""
    yield from brokers(config)
    if (found := _reached(config)) is not None:
        try:
            yield from names(found)
        except (KafkaError, OSError, LookupError, ValueError) as error:
            yield Finding("names", False, f"the log cannot be read: {error}", "see what is wrong with Kafka above")


def tls(config: Examined) -> Iterator[Finding]:
    """Check when the certificates that this role shows or checks by will end."""
    gateway = config.gateway
    given = {"gateway.tls_cert": gateway.tls_cert, "gateway.engine_ca": gateway.engine_ca}
    yield from certificates({key: path for key, path in given.items() if path}, datetime.now(UTC))


def engine_tls(config: Examined) -> Iterator[Finding]:
    """Check the files by which engines of others are reached."""
    files: dict[str, Path] = {}
    for name, each in config.engines.items():
        files |= {f"engines.{name}.{key}": path for key in ("ca", "cert") if (path := getattr(each, key))}
    yield from certificates(files, datetime.now(UTC))


def asking(config: Examined) -> Iterator[Finding]:
    """Check the engines for a role that asks them and loads nothing."""
    yield from engines.reached(config, datetime.now(UTC), loads=False)


def loading(config: Examined) -> Iterator[Finding]:
    """Check the engines for a role that loads adapters."""
    yield from engines.reached(config, datetime.now(UTC), loads=True)


def model(config: Examined) -> Iterator[Finding]:
    """Check that the base model is the one that engines attest."""
    try:
        own, _ = base_model_ids(config.stack)
    except (OSError, ValueError) as error:
        yield Finding("model", False, str(error), "set stack.model, or stack.model_id where the model is not here")
        return
    yield Finding("model", True, f"{own} (stack.model_id for hosts without its folder)")
    if (found := _reached(config)) is None:
        return
    try:
        attested = operations.attestations(found)
    except (KafkaError, OSError, LookupError):  # a finding of its own says so
        return
    for each in attested:
        if each.base_model != own:
            detail = f"{each.replica} at {each.url} attests {each.base_model}, here it is {own}"
            yield Finding("model", False, detail, "one base model for all: stack.model, stack.model_id, the engine's")


def _reached(config: Examined) -> KafkaSettings | None:
    try:
        return reached(config.kafka)
    except KafkaAway:
        return None


def _other(ours: bool) -> str:
    return "" if ours else "stop what has it, or set another port"


LOOKS: dict[str, list[Look]] = {
    "gateway": [asking, tls, engine_tls, labels],
    "worker": [store.written, scoring, labels],
    "controller": [store.listed, loading, engine_tls, model],
    "trainer": [store.written, loading, engine_tls, model, scoring],
    "storage": [store.written],
    "renderer": [store.written],
    "replica": [store.listed],
}
