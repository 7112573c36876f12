"""The stack as a demo runs it: a folder and free ports of its own, settings that fit the data's size."""

from __future__ import annotations

import os
import platform
import shutil
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from deploy.config import secrets
from deploy.config import settings as configuration
from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.demo.clients import Clients
from deploy.demo.memory import PeakMemory
from deploy.demo.record import EventCounts, Machine
from deploy.demo.shares import RowShares
from deploy.operator.rows import LabelledRow
from deploy.show.progress import shown
from deploy.stack import lifecycle, ports, processes
from deploy.stack.engine import answers_ok
from deploy.stack.requirements import GIB
from deploy.stack.settings import cache_folder
from streams.files import private_folder
from streams.lake.lake import Lake
from streams.log.read import ends
from streams.log.settings import KafkaSettings
from streams.scoring.scorer import Scorer
from streams.scoring.settings import EXACT
from streams.topics import INFERENCE, INFERENCE_DLQ

ALIAS = "support"
PORTS = (
    "kafka_port",
    "gateway_port",
    "gateway_admin_port",
    "controller_metrics_port",
    "worker_metrics_port",
    "trainer_metrics_port",
    "storage_metrics_port",
)


@dataclass(frozen=True, slots=True)
class DemoStack:
    """A demo's stack: its folder, its configuration, and what is measured of it."""

    var: Path
    path: Path  # of its homeostat.toml
    config: Config
    model: Path
    terms: Path | None
    max_tokens: int
    memory: PeakMemory

    @property
    def kafka(self) -> KafkaSettings:
        """The broker."""
        return self.config.kafka

    def clients(self, feedback_share: float, seed: int) -> Clients:
        """Return the simulated clients of its gateway."""
        return Clients(
            f"http://{ports.HOST}:{self.config.stack.gateway_port}",
            secrets.api_key(self.config),
            ALIAS,
            feedback_share=feedback_share,
            seed=seed,
            max_tokens=self.max_tokens,
            scorer=Scorer.of(self.config.scoring.given(ALIAS), ALIAS, self.var),
        )

    @property
    def metric(self) -> str:
        """The name of the answers' metric."""
        return self.config.scoring.metric(ALIAS).called

    def wait_served(self, version: str, timeout_s: float = 60.0) -> None:
        """Wait until the gateway is ready to answer with this version. Raise RuntimeError after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        url = f"http://{ports.HOST}:{self.config.stack.gateway_admin_port}/readyz"
        while not answers_ok(url, timeout_s=2.0):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no replica serves {version} after {timeout_s:.0f} s; see {self.var / 'log'}")
            time.sleep(0.2)

    def settled(self, replies: int, timeout_s: float, look_s: float = 1.0) -> EventCounts:
        """Wait until that many replies are in the log and the worker has handled each, or the time is up. Return what
        became of them. A reply is in the log a second or more after its client has it."""
        deadline = time.monotonic() + timeout_s
        while True:
            counts = self.events()
            done = counts.captured >= replies and counts.handled >= counts.published
            if done or time.monotonic() > deadline:
                return counts
            time.sleep(look_s)

    def events(self) -> EventCounts:
        """Count captured replies in the log, and what became of them in the lake."""
        worker = self.config.stack.worker_metrics_port
        return EventCounts(
            published=ends(self.kafka, INFERENCE),
            consumed=Lake.of(self.config.kept).count(INFERENCE, ALIAS),
            duplicates=counter(worker, "homeostat_events_duplicate_total", topic=INFERENCE.name),
            dead_lettered=ends(self.kafka, INFERENCE_DLQ),
        )

    def machine(self) -> Machine:
        """Describe this machine, and the memory that the demo took."""
        return Machine(
            cores=os.cpu_count() or 0,
            memory_gb=round(psutil.virtual_memory().total / GIB, 1),
            peak_memory_gb=round(self.memory.bytes / GIB, 2),
            system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        )

    def ended(self) -> list[str]:
        """Return the names of the processes that should run and do not."""
        return [name for name in processes.names(self.var) if not processes.find(name, self.var)]


def prepare(
    var: Path,
    model: Path | None,
    shares: RowShares,
    rows: Sequence[LabelledRow],
    tool_parser: str = "",
    metric: Any = EXACT,
) -> DemoStack:
    """Make a fresh folder with a configuration. Raise RuntimeError when a demo already runs there."""
    running = [name for name in processes.names(var) if processes.find(name, var)]
    if running:
        end = f"homeostat down --config {var / 'homeostat.toml'}"
        raise RuntimeError(f"{var}: a demo already runs here ({', '.join(running)}); `{end}` ends it")
    shutil.rmtree(var, ignore_errors=True)
    private_folder(var)
    path = var / "homeostat.toml"
    path.write_text(dump(tables(var, model, shares, tool_parser, metric)))
    config = configuration.load(path, {})
    folder = lifecycle.model_folder(config.stack)
    terms = folder / "TERMS.txt"
    longest = max(len(row.label) for row in rows)
    memory = PeakMemory(lambda: _pids(var))
    memory.start()
    return DemoStack(
        var,
        path,
        config,
        folder,
        terms if terms.is_file() else None,
        max_tokens=max(8, longest // 2 + 4),
        memory=memory,
    )


def tables(
    var: Path, model: Path | None, shares: RowShares, tool_parser: str = "", metric: Any = EXACT
) -> dict[str, dict[str, object]]:
    """Return the demo's `homeostat.toml`: short windows and short waits, because its world is short."""
    engine, *others = ports.free(1 + len(PORTS))
    taken = dict(zip(PORTS, others, strict=True))
    where: dict[str, object] = {"var": str(var.resolve()), "cache": str(cache_folder()), **taken}
    where["engine_ports"] = [engine]
    return {
        "stack": where
        | ({"model": str(model.resolve())} if model else {})
        | ({"tool_parser": tool_parser} if tool_parser else {}),
        "scoring": {"metrics": {ALIAS: metric}},
        "labels": {"sources": {"default": "random"}},  # simulated clients toss a coin whether to label a reply
        "monitor": {"reference_events": shares.reference_events, "window_s": 10, "grace_s": 3, "idle_s": 5},
        "policy": {"min_fresh_labels": shares.min_fresh_labels, "cool_down_s": 30},
        "controller": {"canary_weight": 0.5, "canary_requests": shares.canary_requests, "guard_watch_s": 30.0},
    }


def begin(stack: DemoStack) -> None:
    """Start vLLM, which need not be ready before the first champion is."""
    lifecycle.begin_engines(stack.config)


def up(stack: DemoStack, console: Console) -> None:
    """Start the stack, showing progress."""
    console.print("\n[bold]   Starting[/] Kafka, gateway, worker, controller, trainer")
    with shown(console) as report:
        lifecycle.up(stack.config, stack.path, report)


def down(stack: DemoStack, console: Console) -> None:
    """Stop everything that `up` started."""
    stack.memory.stop()
    with shown(console) as report:
        lifecycle.down(stack.config, report)


def counter(port: int, name: str, **labels: str) -> int:
    """Sum the samples of a process's `/metrics` that are called `name` and carry these labels. Return 0 where the
    process or the metric is not there."""
    try:
        with urllib.request.urlopen(f"http://{ports.HOST}:{port}/metrics", timeout=5) as reply:
            text = reply.read().decode()
    except OSError:
        return 0
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def _pids(var: Path) -> list[int]:
    started = [processes.remembered(name, var) for name in processes.names(var)]
    return [child.pid for child in started if child is not None]
