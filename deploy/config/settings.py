"""One configuration: `homeostat.toml` and the environment, parsed once, handed to the rooms as frozen structs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from deploy.config.admin_settings import AdminSettings
from deploy.config.parse import ConfigError, Table, build, given, source
from deploy.config.secret_settings import SecretSettings
from deploy.stack import ports
from deploy.stack.engines import clashes
from deploy.stack.settings import StackSettings
from monitor.settings import LabelSettings, MonitorSettings, PolicySettings
from retrain.settings import RetrainSettings, TrackingSettings
from serving.access_settings import AuditSettings, OidcSettings
from serving.settings import ControllerSettings, GatewaySettings
from serving.sidecar.settings import ListedReplica, SideCarSettings, check_list
from streams.engine_access import EngineAccess
from streams.log.security.settings import SecuritySettings
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.scoring.settings import ScoringSettings
from streams.settings import WorkerSettings
from streams.telemetry.settings import LogSettings, TraceSettings
from streams.topics import KEPT_LONGER_S

DEFAULT_FILE = Path("homeostat.toml")
DECIDED_BY = {  # settings that follow another one
    "controller.max_loras": "stack.max_loras",
    "controller.max_lora_rank": "stack.max_lora_rank",
    "retrain.max_lora_rank": "stack.max_lora_rank",
    "monitor.late_labels_s": "labels.wait_s",
    "kafka.bootstrap": "stack.kafka_port",  # while stack.embedded_kafka is true
}


@dataclass(frozen=True, slots=True)
class Config:
    """Every section of `homeostat.toml`; each has defaults that run on one machine. `engines`: those that others run,
    by name."""

    stack: StackSettings = field(default_factory=StackSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    replica: SideCarSettings = field(default_factory=SideCarSettings)
    replicas: dict[str, ListedReplica] = field(
        default_factory=dict
    )  # side-cars that may be believed, by name or pattern
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    secrets: SecretSettings = field(default_factory=SecretSettings)
    oidc: OidcSettings = field(default_factory=OidcSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    engines: dict[str, EngineAccess] = field(default_factory=dict)
    admin: AdminSettings = field(default_factory=AdminSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    traces: TraceSettings = field(default_factory=TraceSettings)

    def __post_init__(self) -> None:
        check_list(self.replicas)

    @property
    def kept(self) -> Storage:
        """Return where all stands that is kept."""
        return Storage(self.storage, self.stack.var)


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Load the file named, else ./homeostat.toml where there is one, else the defaults. The embedded broker is at its
    own port; [kafka] names others."""
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    table = given(Config, path, environment)
    config = build(Config, table, source(path))
    ignored = (problem for key, problem in _ignored(config) if _has(table, key))
    if problems := [*ignored, *_forgetful(config), *clashes(config.engines), *_unread(config), *_plain(config)]:
        raise ConfigError(source(path), problems)
    config = replace(config, monitor=replace(config.monitor, late_labels_s=config.labels.wait_s))
    config = replace(config, retrain=replace(config.retrain, max_lora_rank=config.stack.max_lora_rank))
    config = _masked_alike(config)
    if not config.stack.embedded_kafka:
        return config
    return replace(config, kafka=replace(config.kafka, bootstrap=f"{ports.HOST}:{config.stack.kafka_port}"))


def _masked_alike(config: Config) -> Config:
    """Datasets get the surrogates that the gateways give."""
    pii = config.retrain.pii
    if pii.mask_key_file is not None:
        return config
    pii = replace(pii, mask_key_file=config.secrets.mask_key_file)
    return replace(config, retrain=replace(config.retrain, pii=pii))


def _ignored(config: Config) -> Iterator[tuple[str, str]]:
    """Settings that another one decides, where what they say is not that: key, and what to do."""
    stack = config.stack
    here = f"{ports.HOST}:{stack.kafka_port}"
    decided: dict[str, tuple[object, object]] = {
        "monitor.late_labels_s": (config.monitor.late_labels_s, config.labels.wait_s),
        "controller.max_loras": (config.controller.max_loras, stack.max_loras),
        "controller.max_lora_rank": (config.controller.max_lora_rank, stack.max_lora_rank),
        "retrain.max_lora_rank": (config.retrain.max_lora_rank, stack.max_lora_rank),
    }
    remedies = {key: f"set {DECIDED_BY[key]}" for key in decided}
    if stack.embedded_kafka:
        decided["kafka.bootstrap"] = (config.kafka.bootstrap, here)
        remedies["kafka.bootstrap"] = "the embedded broker is used: set stack.embedded_kafka = false, or leave this out"
    else:
        decided["stack.kafka_port"] = (stack.kafka_port, None)
        remedies["stack.kafka_port"] = "no broker is started here: set kafka.bootstrap"
    if config.engines:
        decided["stack.engine_ports"] = (stack.engine_ports, None)
        remedies["stack.engine_ports"] = "no engine is started here: [engines] names those that others run"
    for key, (value, holds) in decided.items():
        if value != holds:
            yield key, f"{key} = {str(value)!r}: has no effect, {remedies[key]}"


def _forgetful(config: Config) -> Iterator[str]:
    """The lake must keep a label and its reply for longer than the label waits."""
    wait_s, days = config.labels.wait_s, config.storage.keep_days
    least = -(-(wait_s + KEPT_LONGER_S) // 86_400)
    if 0 < days < least:
        yield (
            f"storage.keep_days = {days} and labels.wait_s = {wait_s}: expected storage.keep_days of at least {least}, "
            "two days more than labels wait for their reply, or 0, which keeps all"
        )


def _unread(config: Config) -> Iterator[str]:
    """A job of a cluster reads rows from the store, and leaves its outcome there."""
    if config.retrain.runner == "kubernetes" and not config.storage.url:
        yield 'retrain.runner = "kubernetes" and storage.url is empty: expected a bucket that trainer and Jobs reach'


def _plain(config: Config) -> Iterator[str]:
    """The embedded broker speaks neither TLS nor SASL: with either no process would ever reach it."""
    security, plain = config.kafka.security, SecuritySettings()
    named = [each.name for each in fields(security) if getattr(security, each.name) != getattr(plain, each.name)]
    if config.stack.embedded_kafka and named:
        given = ", ".join(f"kafka.security.{name}" for name in named)
        yield f"{given}: not for the embedded broker, set stack.embedded_kafka = false, or leave [kafka.security] out"


def _has(table: Table, key: str) -> bool:
    section, _, name = key.partition(".")
    return name in table.get(section, {})
