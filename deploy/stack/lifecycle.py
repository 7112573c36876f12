"""The stack on this machine: Kafka, vLLM replicas, gateway, worker, controller, trainer; `up`, `down`, `status`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from deploy.stack import ports, processes
from deploy.stack import requirements as checks
from deploy.stack.broker import reached
from deploy.stack.cache import cache_folder
from deploy.stack.engine import Engine, answers_ok, available_cores, device, share, warm_up
from deploy.stack.kafka import EmbeddedKafka, create_topics
from deploy.stack.launch import Launch, Member, Report, alone, bring_down, silent
from deploy.stack.processes import Spec
from deploy.stack.settings import StackSettings as StackSettings
from deploy.stack.topics import create_missing
from retrain.base_model import check_model, prepare
from streams.log.settings import KafkaSettings

ROLES = ("worker", "controller", "trainer")  # in the order of their start, before the gateways
ROLE_TIMEOUT_S = 120.0
ROLE_GRACE_S = 35.0  # requests under way, then what the shipper has left


class Stacked(Protocol):
    """The part of the configuration that the stack itself reads."""

    @property
    def stack(self) -> StackSettings: ...
    @property
    def kafka(self) -> KafkaSettings: ...


@dataclass(frozen=True, slots=True)
class Status:
    """How one process of the stack is."""

    name: str
    state: str  # "ready", "starting" (alive, does not answer yet), or "stopped"
    ports: tuple[int, ...]
    pid: int | None = None
    memory_bytes: int = 0
    log: Path | None = None


def up(config: Stacked, config_path: Path | None = None, report: Report = silent) -> list[str]:
    """Starts what does not run yet and returns its names once everything answers. On failure everything that this
    call started is stopped again, and the error says what to do."""
    settings = config.stack
    with alone(settings.var):
        everyone = members(config, config_path)
        missing = [member.name for member in everyone if processes.find(member.name, settings.var) is None]
        checks.require(settings, [name for name in missing if name.startswith("engine-")])
        if not settings.embedded_kafka:
            create_missing(reached(config.kafka))
        return Launch(everyone, settings.var, report).run()


def down(config: Stacked, report: Report = silent) -> list[str]:
    """Stops everything that any `up` started, last first; returns the names of what was running."""
    with alone(config.stack.var):
        return bring_down([member.name for member in members(config, None)], config.stack.var, report)


def status(config: Stacked) -> list[Status]:
    """Every process of the stack, in the order of their start."""
    asked = members(config, None)
    with ThreadPoolExecutor(len(asked)) as pool:  # those that hang are waited for at once
        return list(pool.map(lambda member: _status(member, config.stack.var), asked))


def members(config: Stacked, config_path: Path | None) -> list[Member]:
    """The stack's processes; nothing is started, fetched or read."""
    settings = config.stack
    engines = [_engine(settings, replica) for replica in range(len(settings.engine_ports))]
    kafka = [_kafka(settings)] if settings.embedded_kafka else []
    after = tuple(member.name for member in kafka)
    named = [*ROLES, *settings.gateways()]
    return [*kafka, *engines, *(_role(settings, name, config_path, after) for name in named)]


def model_folder(settings: StackSettings) -> Path:
    """The base model's folder; unpacks the demo's into the cache where it is not yet. Raises FileNotFoundError or
    ValueError when the configured one is no model."""
    if settings.model is None:
        return prepare((settings.cache or cache_folder()) / "models")
    check_model(settings.model)
    return settings.model


def _kafka(settings: StackSettings) -> Member:
    broker = EmbeddedKafka(settings.var / "kafka", settings.kafka_port, settings.cache or cache_folder())
    return Member(
        "kafka",
        broker.spec,
        partial(ports.answers, settings.kafka_port),
        (("stack.kafka_port", settings.kafka_port),),
        then=partial(create_topics, broker.settings),
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
    engine = Engine(model, port, device(settings.device), settings, chat_template_for(model), cores)
    return Spec(f"engine-{replica}", engine.command(), engine.healthy, settings.start_timeout_s, engine.environment())


def _role(settings: StackSettings, name: str, config_path: Path | None, after: tuple[str, ...]) -> Member:
    role = "gateway" if name in settings.gateways() else name
    keys = _ports(settings, name)
    ready = partial(answers_ok, f"http://127.0.0.1:{keys[-1][1]}/{'healthz' if role == 'gateway' else 'metrics'}")
    told = (("--name", name) if name != role else (), ("--config", str(config_path)) if config_path else ())
    command = (sys.executable, "-m", "deploy.cli", "run", role, *told[0], *told[1])
    spec = Spec(name, command, ready, ROLE_TIMEOUT_S, grace_s=ROLE_GRACE_S)
    return Member(name, lambda: spec, ready, keys, after, ROLE_TIMEOUT_S)


def _ports(settings: StackSettings, name: str) -> tuple[tuple[str, int], ...]:
    """The ports that a role's process listens on, with their keys; the last one tells whether it is ready."""
    if name == "gateway":
        gateway = ("stack.gateway_port", settings.gateway_port)
        return (gateway, ("stack.gateway_admin_port", settings.gateway_admin_port))
    if name in settings.gateways():
        return (("stack.more_gateway_admin_ports", settings.gateways()[name]),)
    key = f"{name}_metrics_port"
    return ((f"stack.{key}", getattr(settings, key)),)


def _status(member: Member, var: Path) -> Status:
    listening = tuple(port for _, port in member.ports)
    child = processes.find(member.name, var)
    log = processes.log_file(var, member.name)
    if child is None:
        return Status(member.name, "stopped", listening, log=log if log.exists() else None)
    state = "ready" if member.ready() else "starting"
    return Status(member.name, state, listening, child.pid, processes.memory_bytes(child), log)
