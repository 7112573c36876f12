"""The stack as a demo runs it: a folder and free ports of its own, settings that fit the data's size."""

from __future__ import annotations

import os
import platform
import shutil
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console

from deploy.config import secrets
from deploy.config import settings as configuration
from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.demo.data import Row
from deploy.demo.record import Events, Machine
from deploy.demo.scrape import counter
from deploy.demo.shares import Plan
from deploy.show.progress import shown
from deploy.stack import lifecycle as stack
from deploy.stack import ports, processes
from deploy.stack.cache import cache_folder
from streams.files import private_folder
from streams.lake import table as lake
from streams.log.read import ends
from streams.log.settings import KafkaSettings
from streams.topics import INFERENCE, INFERENCE_DLQ

ALIAS = "support"
PORTS = (
    "kafka_port",
    "gateway_port",
    "gateway_admin_port",
    "controller_metrics_port",
    "worker_metrics_port",
    "trainer_metrics_port",
)
GIB = 1024**3
SAMPLE_S = 5.0


@dataclass(slots=True)
class Bench:
    """A demo's stack: where it is and how to ask it things."""

    var: Path
    path: Path  # of its homeostat.toml
    config: Config
    model: Path
    terms: Path | None
    max_tokens: int
    peak_bytes: int = 0
    _sampling: threading.Event = field(default_factory=threading.Event)

    @property
    def kafka(self) -> KafkaSettings:
        return self.config.kafka

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.config.stack.gateway_port}"

    @property
    def api_key(self) -> str:
        return secrets.api_key(self.config)

    def wait_served(self, version: str, timeout_s: float = 60.0) -> None:
        """Until the gateway is ready to answer with this version. Raises RuntimeError when it takes too long."""
        deadline = time.monotonic() + timeout_s
        url = f"http://127.0.0.1:{self.config.stack.gateway_admin_port}/readyz"
        while not _ok(url):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no replica serves {version} after {timeout_s:.0f} s; see {self.var / 'log'}")
            time.sleep(0.2)

    def settled(self, replies: int, timeout_s: float, look_s: float = 1.0) -> Events:
        """What became of so many replies, once all are in the log and the worker has handled each, or the time is up.
        A reply is in the log a second or more after its client has it."""
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self.events()
            done = seen.captured >= replies and seen.handled >= seen.published
            if done or time.monotonic() > deadline:
                return seen
            time.sleep(look_s)

    def events(self) -> Events:
        """Captured replies in the log, and what became of them in the lake."""
        worker = self.config.stack.worker_metrics_port
        return Events(
            published=ends(self.kafka, INFERENCE),
            consumed=lake.count(self.var / "lake", INFERENCE, ALIAS),
            duplicates=counter(worker, "homeostat_events_duplicate_total", topic=INFERENCE.name),
            dead_lettered=ends(self.kafka, INFERENCE_DLQ),
        )

    def machine(self) -> Machine:
        return Machine(
            cores=os.cpu_count() or 0,
            memory_gb=round(psutil.virtual_memory().total / GIB, 1),
            peak_memory_gb=round(self.peak_bytes / GIB, 2),
            system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        )

    def sample(self) -> None:
        """Notes the largest memory that the demo's processes had together, until `rest`. Seldom: looking stops them
        from taking memory meanwhile."""
        while not self._sampling.wait(SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, self._memory())

    def rest(self) -> None:
        self._sampling.set()

    def _memory(self) -> int:
        started = [processes.remembered(name, self.var) for name in processes.names(self.var)]
        trees = [_tree(pid) for pid in (os.getpid(), *(child.pid for child in started if child is not None))]
        return sum(_proportional(process) for process in set[psutil.Process]().union(*trees))

    def ended(self) -> list[str]:
        """Names of the processes that should run and do not."""
        return [name for name in processes.names(self.var) if not processes.find(name, self.var)]


def prepare(var: Path, model: Path | None, shares: Plan, rows: Sequence[Row]) -> Bench:
    """A fresh folder with a configuration. Raises RuntimeError when a demo already runs there."""
    running = [name for name in processes.names(var) if processes.find(name, var)]
    if running:
        end = f"homeostat down --config {var / 'homeostat.toml'}"
        raise RuntimeError(f"{var}: a demo already runs here ({', '.join(running)}); `{end}` ends it")
    shutil.rmtree(var, ignore_errors=True)
    private_folder(var)
    path = var / "homeostat.toml"
    path.write_text(dump(tables(var, model, shares)))
    config = configuration.load(path, {})
    folder = stack.model_folder(config.stack)
    terms = folder / "TERMS.txt"
    longest = max(len(row.label) for row in rows)
    bench = Bench(var, path, config, folder, terms if terms.is_file() else None, max_tokens=max(8, longest // 2 + 4))
    threading.Thread(target=bench.sample, name="memory", daemon=True).start()
    return bench


def tables(var: Path, model: Path | None, shares: Plan) -> dict[str, dict[str, object]]:
    """The demo's `homeostat.toml`: short windows and short waits, because its world is short."""
    engine, *others = ports.free(1 + len(PORTS))
    taken = dict(zip(PORTS, others, strict=True))
    where: dict[str, object] = {"var": str(var.resolve()), "cache": str(cache_folder()), **taken}
    where["engine_ports"] = [engine]
    return {
        "stack": where | ({"model": str(model.resolve())} if model else {}),
        "monitor": {"reference_events": shares.reference_events, "window_s": 10, "grace_s": 3, "idle_s": 5},
        "policy": {"min_fresh_labels": shares.min_fresh_labels, "cool_down_s": 30},
        "controller": {"canary_weight": 0.5, "canary_requests": shares.canary_requests, "guard_watch_s": 30.0},
    }


def up(bench: Bench, console: Console) -> None:
    """Starts the stack, showing progress."""
    console.print("\n[bold]   Starting[/] Kafka, vLLM, gateway, worker, controller, trainer")
    with shown(console) as report:
        stack.up(bench.config, bench.path, report)


def down(bench: Bench, console: Console) -> None:
    """Stops everything that `up` started."""
    bench.rest()
    with shown(console) as report:
        stack.down(bench.config, report)


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - our own http address
            return bool(reply.status == 200)
    except OSError:
        return False


def _tree(pid: int) -> set[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return {process, *process.children(recursive=True)}
    except psutil.Error:
        return set()


def _proportional(process: psutil.Process) -> int:
    """Resident memory, shared pages counted once over their sharers where the system tells (Linux)."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
