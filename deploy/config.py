"""One configuration: `homeostat.toml` and the environment, parsed once, handed to the rooms as frozen structs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy import ports
from deploy.parse import load as parse
from deploy.stack_settings import StackSettings
from monitor.settings import MonitorSettings, PolicySettings
from retrain.settings import RetrainSettings
from serving.settings import ControllerSettings, GatewaySettings
from streams.log import KafkaSettings
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
    config = parse(Config, path, environment)
    if not config.stack.embedded_kafka:
        return config
    return replace(config, kafka=replace(config.kafka, bootstrap=f"{ports.HOST}:{config.stack.kafka_port}"))
