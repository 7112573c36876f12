"""The stack on this machine: Kafka, vLLM replicas, gateway, worker, controller, trainer, storage.

`up`, `down`, `status`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from deploy.stack import ports, processes
from deploy.stack import requirements as checks
from deploy.stack.broker import reached
from deploy.stack.engine import EngineProcess, answers_ok, available_cores, device, share, warm_up
from deploy.stack.engines import Engined
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.launch import Launch, Member, Report, alone, bring_down, silent
from deploy.stack.processes import Spec
from deploy.stack.settings import StackSettings
from deploy.stack.topics import create_missing, create_topics
from monitor.settings import LabelSettings
from retrain.base_model import check_model, prepare
from streams.log.settings import KafkaSettings
from streams.topics import TOPICS, kept_for

ROLES = ("worker", "controller", "trainer", "storage")  # in the order of their start, before the gateways
ROLE_TIMEOUT_S = 120.0
ROLE_GRACE_S = 35.0  # requests under way, then what the shipper has left


class Stacked(Engined, Protocol):
    """The part of the configuration that the stack itself reads."""

    @property
    def kafka(self) -> KafkaSettings: ...
    @property
    def labels(self) -> LabelSettings: ...


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The status of one process of the stack."""

    name: str
    state: str  # "ready", "starting" (alive, does not answer yet), or "stopped"
    ports: tuple[int, ...]
    pid: int | None = None
    memory_bytes: int = 0
    log: Path | None = None


def up(config: Stacked, config_path: Path | None = None, report: Report = silent) -> list[str]:
    """Start the processes that do not run yet. Return their names once everything answers. On failure stop everything
    that this call started, and raise an error that says what to do."""
    settings = config.stack
    with alone(settings.var):
        everyone = members(config, config_path)
        missing = [member.name for member in everyone if processes.find(member.name, settings.var) is None]
        checks.require(settings, [name for name in missing if name.startswith("engine-")])
        if not settings.embedded_kafka:
            create_missing(reached(config.kafka), kept_for(TOPICS, config.labels.wait_s))
        return Launch(everyone, settings.var, report).run()


def begin_engines(config: Stacked) -> None:
    """Start the engines, which need a minute, and wait for nothing: the `up` that follows finds and awaits them.
    Raise the errors of `up` where the machine or a port will not do."""
    settings = config.stack
    engines = [member for member in members(config, None) if member.name.startswith("engine-")]
    checks.require(settings, [member.name for member in engines])
    for member in engines:
        for key, port in member.ports:
            ports.check(port, key)
        processes.start(member.prepare(), settings.var)


def down(config: Stacked, report: Report = silent) -> list[str]:
    """Stop everything that any `up` started, last first. Return the names of the processes that were running."""
    with alone(config.stack.var):
        return bring_down([member.name for member in members(config, None)], config.stack.var, report)


def status(config: Stacked) -> list[ProcessStatus]:
    """Return the status of every process of the stack, in the order of their start."""
    asked = members(config, None)
    with ThreadPoolExecutor(len(asked)) as pool:  # those that hang are waited for at once
        return list(pool.map(lambda member: _status(member, config.stack.var), asked))


def members(config: Stacked, config_path: Path | None) -> list[Member]:
    """List the stack's processes; nothing is started, fetched or read."""
    settings = config.stack
    engines = [] if config.engines else [_engine(settings, replica) for replica in range(len(settings.engine_ports))]
    kafka = [_kafka(settings, config)] if settings.embedded_kafka else []
    after = tuple(member.name for member in kafka)
    named = [*ROLES, *settings.gateways()]
    return [*kafka, *engines, *(_role(settings, name, config_path, after) for name in named)]


def model_folder(settings: StackSettings) -> Path:
    """Return the base model's folder; unpack the demo's into the cache where it is not yet. Raise FileNotFoundError
    or ValueError where the configured one is no model."""
    if settings.model is None:
        return prepare(settings.cache_path() / "models")
    check_model(settings.model)
    return settings.model


def _kafka(settings: StackSettings, config: Stacked) -> Member:
    broker = EmbeddedKafka(settings.var / "kafka", settings.kafka_port, settings.cache_path())
    shaped = replace(config.kafka, bootstrap=broker.settings.bootstrap)
    return Member(
        "kafka",
        broker.spec,
        partial(ports.answers, settings.kafka_port),
        (("stack.kafka_port", settings.kafka_port),),
        then=partial(create_topics, shaped, kept_for(TOPICS, config.labels.wait_s)),
    )


def _engine(settings: StackSettings, replica: int) -> Member:
    name, port = f"engine-{replica}", settings.engine_ports[replica]
    url = f"http://127.0.0.1:{port}/health"
    return Member(
        name,
        partial(_engine_spec, settings, replica),
        partial(answers_ok, url),
        ((f"stack.engine_ports[{replica}]", port),),
        timeout_s=settings.start_timeout_s,
        then=partial(warm_up, port),
    )


def _engine_spec(settings: StackSettings, replica: int) -> Spec:
    from retrain.training.prompting import chat_template_for

    model, port = model_folder(settings), settings.engine_ports[replica]
    cores = share(replica, len(settings.engine_ports), available_cores(), settings.cpu_share)
    engine = EngineProcess(model, port, device(settings.device), settings, chat_template_for(model), cores)
    return Spec(f"engine-{replica}", engine.command(), engine.healthy, settings.start_timeout_s, engine.environment())


def _role(settings: StackSettings, name: str, config_path: Path | None, after: tuple[str, ...]) -> Member:
    role = "gateway" if name in settings.gateways() else name
    keys = _ports(settings, name)
    ready = partial(answers_ok, f"http://{settings.here()}:{keys[-1][1]}/healthz")
    named = ("--name", name) if name != role else ()
    configured = ("--config", str(config_path)) if config_path else ()
    command = (sys.executable, "-m", "deploy.cli", "run", role, *named, *configured)
    spec = Spec(name, command, ready, ROLE_TIMEOUT_S, grace_s=ROLE_GRACE_S)
    return Member(name, lambda: spec, ready, keys, after, ROLE_TIMEOUT_S)


def _ports(settings: StackSettings, name: str) -> tuple[tuple[str, int], ...]:
    """Return the ports that a role's process listens on, with their keys; the last one answers once it is ready."""
    if name == "gateway":
        gateway = ("stack.gateway_port", settings.gateway_port)
        return (gateway, ("stack.gateway_admin_port", settings.gateway_admin_port))
    if name in settings.gateways():
        return (("stack.more_gateway_admin_ports", settings.gateways()[name]),)
    key = f"{name}_metrics_port"
    return ((f"stack.{key}", getattr(settings, key)),)


def _status(member: Member, var: Path) -> ProcessStatus:
    listening = tuple(port for _, port in member.ports)
    child = processes.find(member.name, var)
    log = processes.log_file(var, member.name)
    if child is None:
        return ProcessStatus(member.name, "stopped", listening, log=log if log.exists() else None)
    state = "ready" if member.ready() else "starting"
    return ProcessStatus(member.name, state, listening, child.pid, processes.memory_bytes(child), log)
