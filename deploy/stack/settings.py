"""The operator's settings for the stack on one machine; checked once, when made."""

from __future__ import annotations

import ipaddress
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streams.identity import LORA_RANKS


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """Where things live, which ports they take, how large the engine may be. Clients' address is `gateway.host`."""

    var: Path = Path("var")  # logs, process state, Kafka's data
    cache: Path | None = None  # fetched jars and unpacked models; None: ~/.cache/homeostat
    model: Path | None = None  # a Hugging Face folder; None: the demo's base model
    model_id: str = ""  # of the base model, as `homeostat doctor --role trainer` shows it: for hosts without its folder
    bind: str = "127.0.0.1"  # address that metrics and admin ports listen on; 0.0.0.0 in a container
    embedded_kafka: bool = True  # False: use the brokers of [kafka]
    kafka_port: int = 9092  # of the embedded broker
    gateway_port: int = 8080  # where clients ask
    gateway_admin_port: int = 9101  # health, metrics and operators' acts of the first gateway
    more_gateway_admin_ports: tuple[int, ...] = ()  # each is one more gateway process on the same gateway_port
    controller_metrics_port: int = 9102  # where Prometheus finds the controller's metrics
    worker_metrics_port: int = 9103  # and the worker's
    trainer_metrics_port: int = 9104  # and the trainer's
    storage_metrics_port: int = 9105  # and those of the storage's care
    admin_port: int = 9108  # where `homeostat run admin` takes commands; `up` does not start it
    renderer_metrics_port: int = 9107  # and those of a renderer of its own, which `up` does not start
    engine_ports: tuple[int, ...] = (8001,)  # one vLLM replica each
    device: Literal["auto", "cpu", "cuda"] = "auto"  # what the engine computes on; auto: a GPU where there is one
    max_model_len: int = 1024  # prompt and completion together
    max_loras: int = 4  # champion, canary, previous, and a candidate under evaluation
    max_lora_rank: int = 16  # of an adapter that the engines take
    max_num_seqs: int = 16  # replies computed at once
    tool_parser: str = ""  # how vLLM finds calls of tools in answers, as "hermes"; empty: it looks for none by itself
    kv_cache_gb: float = 0.5  # per replica, on a CPU; 12,000 tokens of Gemma 3 270M
    cpu_share: float = 0.5  # of the cores, for all replicas on a CPU together; training needs the rest
    gpu_memory_share: float = 0.4  # per replica, on a GPU; training needs the rest
    start_timeout_s: float = 600.0  # for a replica to load its model; one minute on an idle machine

    def __post_init__(self) -> None:
        every = {**self.ports(), "admin_port": self.admin_port, "renderer_metrics_port": self.renderer_metrics_port}
        for key, port in every.items():
            _require(key, port, 1 <= port <= 65_535, "a port from 1 to 65535")
        _require("bind", self.bind, _is_address(self.bind), "an IPv4 or IPv6 address, such as 0.0.0.0")
        twice = [port for port, count in Counter(every.values()).items() if count > 1]
        _require("ports", sorted(every.values()), not twice, f"all different; {twice} occurs twice")
        _require("engine_ports", self.engine_ports, len(self.engine_ports) >= 1, "at least one port")
        for name in ("max_model_len", "max_loras", "max_num_seqs"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _require("max_lora_rank", self.max_lora_rank, self.max_lora_rank in LORA_RANKS, f"one of {LORA_RANKS}")
        _require("kv_cache_gb", self.kv_cache_gb, self.kv_cache_gb > 0, "a positive number of GiB")
        _require("gpu_memory_share", self.gpu_memory_share, 0 < self.gpu_memory_share <= 1, "above 0, at most 1")
        _require("cpu_share", self.cpu_share, 0 < self.cpu_share <= 1, "above 0, at most 1")
        _require("start_timeout_s", self.start_timeout_s, self.start_timeout_s > 0, "a positive number of seconds")

    def ports(self) -> dict[str, int]:
        """Return every port that `homeostat up` takes, with its key in the configuration."""
        named = {
            "gateway_port": self.gateway_port,
            "gateway_admin_port": self.gateway_admin_port,
            "controller_metrics_port": self.controller_metrics_port,
            "worker_metrics_port": self.worker_metrics_port,
            "trainer_metrics_port": self.trainer_metrics_port,
            "storage_metrics_port": self.storage_metrics_port,
        }
        named |= {f"more_gateway_admin_ports[{i}]": port for i, port in enumerate(self.more_gateway_admin_ports)}
        engines = {f"engine_ports[{replica}]": port for replica, port in enumerate(self.engine_ports)}
        return {**({"kafka_port": self.kafka_port} if self.embedded_kafka else {}), **named, **engines}

    def gateways(self) -> dict[str, int]:
        """Return the gateway processes and the admin port of each."""
        more = {f"gateway-{i}": port for i, port in enumerate(self.more_gateway_admin_ports, 1)}
        return {"gateway": self.gateway_admin_port, **more}

    def metrics_addresses(self) -> dict[str, list[str]]:
        """Return the addresses of the metrics for Prometheus, by kind of process."""
        ports = {
            "gateway": list(self.gateways().values()),
            "controller": [self.controller_metrics_port],
            "worker": [self.worker_metrics_port],
            "trainer": [self.trainer_metrics_port],
            "storage": [self.storage_metrics_port],
        }
        return {name: [f"{self.here()}:{port}" for port in each] for name, each in ports.items()}

    def here(self) -> str:
        """Return the address by which this machine's processes reach each other's metrics and admin ports.

        >>> StackSettings(bind="0.0.0.0").here(), StackSettings(bind="10.0.0.5").here(), StackSettings(bind="::").here()
        ('127.0.0.1', '10.0.0.5', '[::1]')
        """
        address = ipaddress.ip_address(self.bind)
        if address.is_unspecified:
            return "127.0.0.1" if address.version == 4 else "[::1]"
        return self.bind if address.version == 4 else f"[{self.bind}]"

    def cache_path(self) -> Path:
        """Return the folder for what is fetched or unpacked once."""
        return self.cache or cache_folder()

    def engine_urls(self) -> dict[str, str]:
        """Return each replica's address, as the controller and the gateway reach it."""
        return {f"engine-{replica}": f"http://127.0.0.1:{port}" for replica, port in enumerate(self.engine_ports)}


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that all checkouts share: `$XDG_CACHE_HOME/homeostat`, or `~/.cache/homeostat`."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "homeostat"


def _require(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"stack.{name} is {value!r}, expected {expected}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
