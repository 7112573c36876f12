"""How long `homeostat pause` takes to answer: given on the spot, and through the admin API.

    python -m tests.bench.anywhere --only pause [--quick]

Kafka is away in three ways: nobody listens at the address, somebody takes connections and says nothing, a broker
answers metadata and nothing more. And it is well, with forty aliases to pause. The slowest answer counts as well as the
median. Each is a process with all that it loads; its processor time, and that of the command which the admin API starts
for it, is next to it, for a busy machine makes seconds longer and work hardly."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.config.toml import dump
from deploy.stack import ports
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from serving.gateway.access.keys import Key, entry
from streams.log.append import Appender
from streams.log.settings import KafkaSettings
from streams.topics import ROUTES
from tests.bench.anywhere.goals import figure
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.fake_log import route
from tests.support.half_dead import API_VERSIONS, METADATA, half_dead
from tests.support.waiting import wait

LONGEST_S = 60.0  # for an answer: the part breaks off
TRIES, ALIASES, TOKEN = 5, 40, "of-this-measurement-alone"
Settings = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """How long one took. `cpu_s`: processor time of all processes that worked for it."""

    wall_s: float
    cpu_s: float


def measured(quick: bool) -> list[Figure]:
    """All ways to be away, and none, both ways to ask."""
    tries = 2 if quick else TRIES
    with scratch("pause") as folder, listening() as silent, half_dead(folder / "kafka", cache_folder()) as broker:
        (folder / "log").mkdir()
        create_topics(broker.settings)
        _route(broker.settings)
        refusing, known = f"127.0.0.1:{ports.free(1)[0]}", broker.settings.bootstrap
        well = _asked(folder, f"Kafka is well, {ALIASES} aliases", known, tries, away=False)
        broker.answers = frozenset({API_VERSIONS, METADATA})
        ways = {"Kafka refuses": refusing, "Kafka is silent": silent, "Kafka is half-dead": known}
        return [*(each for way, address in ways.items() for each in _asked(folder, way, address, tries)), *well]


def _route(kafka: KafkaSettings) -> None:
    with closing(Appender(kafka, "bench")) as appender:
        routes = [route(f"alias-{i}") for i in range(ALIASES)]
        appender.append_all(ROUTES, [(each.alias, each) for each in routes], time_ms=1)


def _asked(root: Path, way: str, address: str, tries: int, *, away: bool = True) -> list[Figure]:
    folder = root / way.replace(" ", "-")
    folder.mkdir()
    stack = {"var": str(folder / "var"), "embedded_kafka": False}
    here = written(folder / "here.toml", {"stack": stack, "kafka": {"bootstrap": address}})
    note(f"{way}: pause, {tries} times here and {tries} times through the admin API")
    at_hand = [_paused(here, address, None, turn, away=away) for turn in range(tries)]
    with serving(folder, address) as (server, elsewhere):
        sent = [_paused(elsewhere, address, server, turn + tries, away=away) for turn in range(tries)]
    return [*told(f"pause, {way}, given here", at_hand), *told(f"pause, {way}, through the admin API", sent)]


def told(what: str, answers: list[Answer]) -> list[Figure]:
    """Seconds, and the work in them."""
    wall = [each.wall_s for each in answers]
    tries = f"{len(answers)} tries, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return [
        figure(f"{what}: median", statistics.median(wall), "s", tries),
        figure(f"{what}: slowest", max(wall), "s"),
        Figure(f"{what}: processor time, median", statistics.median(each.cpu_s for each in answers), "s"),
    ]


def _paused(config: Path, address: str, server: psutil.Process | None, turn: int, *, away: bool) -> Answer:
    """One answer; where Kafka is well, a pause and its end by turns."""
    if away:
        return answered("pause", config, server, f"Kafka at {address} ")
    return answered("pause" if turn % 2 == 0 else "resume", config, server)


def answered(act: str, config: Path, server: psutil.Process | None, complains: str = "") -> Answer:
    """How long the command took. Raise RuntimeError for another answer than that it is done, or the complaint."""
    command = [sys.executable, "-m", "deploy.cli", act, "--config", str(config)]
    worked_s, began = _worked_s(server), time.monotonic()
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST_S)
    wall_s = time.monotonic() - began
    right = (
        (done.returncode == 1 and complains in done.stderr) if complains else len(done.stdout.splitlines()) == ALIASES
    )
    if not right:
        expected = f"{complains!r}" if complains else f"{ALIASES} lines"
        raise RuntimeError(f"{act} ended with {done.returncode}, expected {expected}: {done.stderr or done.stdout}")
    time.sleep(0.1 if server else 0.0)  # the command that the server started is counted once the server has reaped it
    return Answer(wall_s, _worked_s(server) - worked_s)


def _worked_s(server: psutil.Process | None) -> float:
    """Processor time of the server, and of all children that it and this process have reaped."""
    mine = psutil.Process().cpu_times()
    worked = mine.children_user + mine.children_system
    return float(worked + (sum(server.cpu_times()[:4]) if server else 0.0))


@contextmanager
def serving(folder: Path, address: str) -> Iterator[tuple[psutil.Process, Path]]:
    """`homeostat run admin` as a process, and the configuration of somebody elsewhere who has a key for it."""
    (port,) = ports.free(1)
    keys, token = folder / "keys.toml", folder / "token"
    for path, text in ((keys, entry(Key.of("ann", TOKEN, ["admin"]))), (token, TOKEN)):
        path.touch(mode=0o600)
        path.write_text(text)
    stack = {"var": str(folder / "served"), "embedded_kafka": False, "admin_port": port}
    config: Settings = {"stack": stack, "kafka": {"bootstrap": address}, "gateway": {"keys_file": str(keys)}}
    path = written(folder / "served.toml", config)
    elsewhere: Settings = {"admin": {"url": f"http://127.0.0.1:{port}", "token_file": str(token)}}
    command = [sys.executable, "-m", "deploy.cli", "run", "admin", "--config", str(path)]
    with (folder.parent / "log" / f"admin-{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(lambda: ports.answers(port) or process.poll() is not None, "the admin API")
        if process.poll() is not None:
            raise RuntimeError(f"the admin API ended with {process.returncode} at its start; see {log.name}")
        yield psutil.Process(process.pid), written(folder / "elsewhere.toml", elsewhere)
    finally:
        process.terminate()
        try:
            process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def written(path: Path, settings: Settings) -> Path:
    """The settings as a file."""
    path.write_text(dump(settings))
    return path


@contextmanager
def listening() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_024) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
