"""One configuration: `homeostat.toml` and the environment, parsed once, handed to the rooms as frozen structs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.config.parse import ConfigError, Table, build, given, source
from deploy.stack import ports
from deploy.stack.settings import StackSettings
from monitor.settings import MonitorSettings, PolicySettings
from retrain.settings import RetrainSettings
from serving.settings import ControllerSettings, GatewaySettings
from streams.log.settings import KafkaSettings
from streams.settings import WorkerSettings

DEFAULT_FILE = Path("homeostat.toml")


@dataclass(frozen=True, slots=True)
class Config:
    """Every section of `homeostat.toml`; each has defaults that run on one machine."""

    stack: StackSettings = field(default_factory=StackSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The file named, else ./homeostat.toml where there is one, else the defaults. The embedded broker is where its
    port is; [kafka] tells of others."""
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    table = given(Config, path, environment)
    config = build(Config, table, source(path))
    if problems := [told for key, told in _ignored(config) if _has(table, key)]:
        raise ConfigError(source(path), problems)
    if not config.stack.embedded_kafka:
        return config
    return replace(config, kafka=replace(config.kafka, bootstrap=f"{ports.HOST}:{config.stack.kafka_port}"))


def _ignored(config: Config) -> Iterator[tuple[str, str]]:
    """Settings that another one decides, where what they say is not that: key, and what to do."""
    stack, worker = config.stack, config.worker
    here = f"{ports.HOST}:{stack.kafka_port}"
    decided: dict[str, tuple[object, object, str]] = {
        "worker.lake": (worker.lake, stack.var / "lake", "it lies in stack.var: set that"),
        "worker.profiles": (worker.profiles, stack.var / "profiles", "they lie in stack.var: set that"),
        "worker.reports": (worker.reports, stack.var / "reports", "they lie in stack.var: set that"),
        "worker.metrics_port": (worker.metrics_port, stack.worker_metrics_port, "set stack.worker_metrics_port"),
        "controller.max_loras": (config.controller.max_loras, stack.max_loras, "set stack.max_loras"),
        "controller.max_lora_rank": (config.controller.max_lora_rank, stack.max_lora_rank, "set stack.max_lora_rank"),
    }
    if stack.embedded_kafka:
        own = "the embedded broker is used: set stack.embedded_kafka = false, or leave this out"
        decided["kafka.bootstrap"] = (config.kafka.bootstrap, here, own)
    else:
        decided["stack.kafka_port"] = (stack.kafka_port, None, "no broker is started here: set kafka.bootstrap")
    for key, (said, holds, remedy) in decided.items():
        if said != holds:
            yield key, f"{key} = {str(said)!r}: has no effect, {remedy}"


def _has(table: Table, key: str) -> bool:
    section, _, name = key.partition(".")
    return name in table.get(section, {})
