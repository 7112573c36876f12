"""What the gateway costs with full capture to a real Kafka: `python -m tests.bench.serving`.

One engine that answers at once; clients go to it directly, through a bare pass-through (the peer) and through the
gateway, taking turns in one run. Prints a table and writes `var/bench/serving.json`.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from deploy import ports, secrets
from deploy.cache import cache_folder
from deploy.config import Config
from deploy.config import load as load_config
from deploy.kafka import EmbeddedKafka, create_topics
from deploy.toml import dump
from streams.events import ReplicaAttested, RouteWritten
from streams.log import KafkaSettings, Writer, ends
from streams.topics import ATTESTATIONS, INFERENCE, ROUTES
from tests.bench.figures import Figure, tell
from tests.bench.load import Sample, request, run

OUT = Path("var/bench/serving.json")
ALIAS = "support"
DIGESTS = ["a" * 64, "b" * 64]
VERSIONS = [f"{ALIAS}-{digest[:12]}" for digest in DIGESTS]
ROUNDS, REQUESTS = 5, 600
SWAPS = 20
BODY = {"messages": [{"role": "user", "content": "Where is my new card? It should have come."}], "max_tokens": 16}


class Bench:
    """All processes and the way to each."""

    def __init__(self, config: Config, engine: int, passing: int, gateway: psutil.Process) -> None:
        self.config, self.gateway = config, gateway
        self.ports = {"engine": engine, "pass-through": passing, "gateway": config.stack.gateway_port}
        self.key = secrets.api_key(config)
        self.generation = 0
        self.writer = Writer(config.kafka, "bench")

    def data(self, where: str, *, stream: bool) -> bytes:
        model = ALIAS if where == "gateway" else VERSIONS[0]
        body = {**BODY, "model": model, "logprobs": True, **({"stream": True} if stream else {})}
        if where == "gateway":
            del body["logprobs"]
        return request("/v1/chat/completions", body, self.key)

    def ask(self, where: str, count: int, clients: int = 1, *, stream: bool = False) -> Sample:
        sample = asyncio.run(run(self.ports[where], self.data(where, stream=stream), count, clients))
        if sample.failed:
            raise RuntimeError(f"{where}: {sample.failed} of {count} requests failed")
        return sample

    def route(self, champion: int) -> None:
        """Writes the next generation."""
        self.generation += 1
        now_ms = time.time_ns() // 1_000_000
        adapters = dict(zip(VERSIONS, DIGESTS, strict=True))
        written = RouteWritten(
            alias=ALIAS,
            generation=self.generation,
            champion=VERSIONS[champion],
            previous=VERSIONS[1 - champion],
            adapters=adapters,
            time_ms=now_ms,
            by="bench",
        )
        attested = ReplicaAttested(
            replica="engine-0",
            url=f"http://127.0.0.1:{self.ports['engine']}",
            time_ms=now_ms,
            healthy=True,
            base_model="bench",
            versions=adapters,
            generations={},
        )
        self.writer.append(ATTESTATIONS, attested, id=f"a{self.generation}", time_ms=now_ms)
        self.writer.append(ROUTES, written, id=f"r{self.generation}", time_ms=now_ms)


def latency(bench: Bench) -> list[Figure]:
    """Alternating rounds, so that the machine's moods meet all of them."""
    found: dict[str, dict[str, list[float]]] = {}
    for where in bench.ports:
        bench.ask(where, 200)
        bench.ask(where, 50, stream=True)
    for _ in range(ROUNDS):
        for where in bench.ports:
            whole = bench.ask(where, REQUESTS)
            chunks = bench.ask(where, REQUESTS // 4, stream=True)
            mine = found.setdefault(where, {"p50": [], "p99": [], "first": []})
            mine["p50"].append(whole.quantile(0.5))
            mine["p99"].append(whole.quantile(0.99))
            mine["first"].append(chunks.first(0.5))

    def added(where: str, name: str) -> float:
        pairs = zip(found[where][name], found["engine"][name], strict=True)
        return statistics.median(mine - bare for mine, bare in pairs)

    told = (
        ("added latency, p50, one client", "p50", 0.3),
        ("added latency, p99, one client", "p99", 0.9),
        ("added time to a stream's first chunk, p50", "first", 0.5),
    )
    return [
        Figure(name, added("gateway", what), "ms", goal, "lower", "pass-through", round(added("pass-through", what), 3))
        for name, what, goal in told
    ]


def throughput(bench: Bench) -> list[Figure]:
    """Requests for each second of processor time that the gateway and its publisher take."""
    used = _cpu_s(bench.gateway)
    sample = bench.ask("gateway", 8_000, 8)
    used = _cpu_s(bench.gateway) - used
    peer = bench.ask("pass-through", 8_000, 8)
    return [
        Figure("requests for a CPU second of the gateway", 8_000 / used, "1/s", 4_000, "higher"),
        Figure(
            "requests a second, eight clients",
            8_000 / sample.seconds,
            "1/s",
            1_000,
            "higher",
            "pass-through",
            round(8_000 / peer.seconds),
        ),
    ]


def swaps(bench: Bench) -> list[Figure]:
    """From the decision's record to the first reply by the new version, through Kafka; the adapters are loaded."""
    times = []
    data = bench.data("gateway", stream=False)
    for i in range(SWAPS):
        began, wanted = time.perf_counter(), VERSIONS[(i + 1) % 2]
        bench.route((i + 1) % 2)
        while not asyncio.run(_answers(bench.ports["gateway"], data, wanted)):
            continue
        times.append((time.perf_counter() - began) * 1_000)
    return [
        Figure("decision to first reply by the new version, median", statistics.median(times), "ms", 2_000, "lower")
    ]


def captured(bench: Bench, sent: int) -> list[Figure]:
    """Whether every reply became an event."""
    deadline = time.monotonic() + 30
    while ends(bench.config.kafka, INFERENCE) < sent and time.monotonic() < deadline:
        time.sleep(0.5)
    lost = sent - ends(bench.config.kafka, INFERENCE)
    memory = bench.gateway.memory_info().rss / 2**20
    return [
        Figure("replies without an event", lost, "events", 0, "lower"),
        Figure("gateway, resident", memory, "MiB", 250, "lower"),
    ]


async def _answers(port: int, data: bytes, version: str) -> bool:
    from tests.bench.load import connect

    connection = await connect(port)
    answer = await connection.ask(data)
    connection.transport.close()
    return f"x-homeostat-version: {version}".encode() in answer.head


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _answered(bench: Bench) -> int:
    """How many requests the gateway counted."""
    url = f"http://127.0.0.1:{bench.config.stack.gateway_admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("homeostat_requests_total{")))


@contextmanager
def process(*arguments: str) -> Iterator[psutil.Process]:
    child = subprocess.Popen([sys.executable, "-m", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(20)


def until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not ready after 30 s")
        time.sleep(0.1)


def measured(kafka: KafkaSettings, folder: Path, broker_port: int) -> list[Figure]:
    gateway, admin, engine, passing = ports.free(4)
    where = {"var": str(folder), "kafka_port": broker_port, "gateway_port": gateway, "gateway_admin_port": admin}
    path = folder / "homeostat.toml"
    path.write_text(dump({"stack": where}))
    config = load_config(path, {})
    with ExitStack() as held:
        held.enter_context(process("tests.bench.upstream", str(engine), *VERSIONS))
        held.enter_context(process("tests.bench.passing", str(passing), f"http://127.0.0.1:{engine}"))
        serving = held.enter_context(process("deploy.cli", "run", "gateway", "--config", str(path)))
        bench = Bench(config, engine, passing, serving)
        for name, port in {**bench.ports, "gateway's admin port": admin}.items():
            until(lambda port=port: not _free(port), name)  # type: ignore[misc]
        bench.route(0)
        until(lambda: _ready(admin), "the route")
        figures = [*latency(bench), *throughput(bench), *swaps(bench)]
        return [*figures, *captured(bench, _answered(bench))]


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _free(port: int) -> bool:
    try:
        ports.check(port, "bench")
    except ports.PortTaken:
        return False
    return True


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-", ignore_cleanup_errors=True) as folder:
        broker = EmbeddedKafka(Path(folder) / "kafka", ports.free(1)[0], cache_folder())
        broker.start()
        try:
            create_topics(broker.settings)
            figures = measured(broker.settings, Path(folder), broker.port)
        finally:
            broker.stop()
    tell([replace(each, value=round(each.value, 3)) for each in figures], OUT)


if __name__ == "__main__":
    main()
