"""The stack as a whole: what it consists of, up, a second up, status, down."""

from __future__ import annotations

import json
import socket
import sys
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from deploy.doctor.machine import packages
from deploy.stack import engine, ports
from deploy.stack import lifecycle as stack
from deploy.stack import requirements as checks
from deploy.stack.engine import answers_ok
from deploy.stack.launch import Member, ProcessState
from deploy.stack.processes import Spec
from deploy.stack.settings import StackSettings
from monitor.settings import LabelSettings
from streams.engine_access import EngineAccess
from streams.log.read import partition_counts
from streams.log.settings import KafkaSettings
from streams.topics import INFERENCE

Usage = namedtuple("Usage", ["free"])
ANSWERS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Config:
    stack: StackSettings
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    engines: Mapping[str, EngineAccess] = field(default_factory=dict)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    taken = ports.free(7)
    names = ("kafka_port", "gateway_port", "gateway_admin_port", "controller_metrics_port", "worker_metrics_port")
    chosen = dict(zip((*names, "trainer_metrics_port"), taken, strict=False))
    settings = StackSettings(var=tmp_path, engine_ports=(taken[6],), **chosen)  # type: ignore[arg-type]
    return Config(settings, KafkaSettings(f"127.0.0.1:{settings.kafka_port}"))


def pretend(member: Member) -> Member:
    """The same process in name, ports and order; a small web server in deed."""
    port = member.ports[-1][1]
    ready = partial(answers_ok, f"http://127.0.0.1:{port}/")
    spec = Spec(member.name, (sys.executable, "-c", ANSWERS, str(port)), ready)
    return Member(member.name, lambda: spec, ready, member.ports, member.after)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[stack.Stacked, Path | None], list[Member]] = stack.members
    monkeypatch.setattr(
        stack, "members", lambda c, path: [m if m.name == "kafka" else pretend(m) for m in real(c, path)]
    )


@pytest.mark.kafka
@pytest.mark.usefixtures("pretended")
def test_engines_that_began_early_are_found_and_awaited(config: Config) -> None:
    try:
        stack.begin_engines(config)
        assert set(stack.up(config)) == {"kafka", "worker", "controller", "trainer", "storage", "gateway"}
        assert {s.state for s in stack.status(config)} == {"ready"}
    finally:
        stack.down(config)


@pytest.mark.usefixtures("pretended")
def test_engines_do_not_begin_on_a_port_that_is_taken(config: Config) -> None:
    with socket.create_server(("127.0.0.1", config.stack.engine_ports[0])):
        with pytest.raises(OSError, match=r"stack\.engine_ports\[0\]"):
            stack.begin_engines(config)
        assert stack.down(config) == []


@pytest.mark.kafka
@pytest.mark.usefixtures("pretended")
def test_up_status_up_again_and_down(config: Config) -> None:
    told: list[tuple[str, ProcessState]] = []
    everything = ["kafka", "engine-0", "worker", "controller", "trainer", "storage", "gateway"]
    try:
        assert set(stack.up(config, report=lambda name, what, _: told.append((name, what)))) == set(everything)
        assert told.index(("kafka", ProcessState.READY)) < told.index(("worker", ProcessState.STARTING))
        assert told.index(("engine-0", ProcessState.STARTING)) < told.index(("kafka", ProcessState.READY))
        assert partition_counts(config.kafka, [INFERENCE]) == {INFERENCE.name: INFERENCE.partitions}
        assert [(s.name, s.state) for s in stack.status(config)] == [(name, "ready") for name in everything]
        assert all(s.memory_bytes for s in stack.status(config))
        assert stack.up(config) == []
    finally:
        stopped = stack.down(config)
    assert stopped == everything[::-1]
    assert {s.state for s in stack.status(config)} == {"stopped"}
    assert stack.down(config) == []


def test_roles_are_started_by_the_one_command_with_the_one_configuration(config: Config) -> None:
    specs = {m.name: m.prepare() for m in stack.members(config, Path("h.toml")) if m.name in stack.ROLES}
    assert specs["worker"].command[1:] == ("-m", "deploy.cli", "run", "worker", "--config", "h.toml")


def test_every_port_is_checked_under_its_key(config: Config) -> None:
    keys = [key for member in stack.members(config, None) for key, _ in member.ports]
    assert sorted(keys) == sorted(f"stack.{key}" for key in config.stack.ports())


def test_own_brokers_leave_the_embedded_one_out(tmp_path: Path) -> None:
    names = [m.name for m in stack.members(Config(StackSettings(var=tmp_path, embedded_kafka=False)), None)]
    assert "kafka" not in names


def test_a_missing_model_is_told_before_anything_starts(config: Config, tmp_path: Path) -> None:
    missing = Config(StackSettings(var=tmp_path, model=tmp_path / "none"))
    with pytest.raises(OSError, match="no such folder"):
        stack.up(missing)


def test_too_little_memory_or_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(checks.NotEnough, match=r"2\.0 GiB of memory available, vLLM needs about 6\.0 GiB"):
        checks.check_memory(6 * checks.GIB, 2 * checks.GIB)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: Usage(checks.GIB))  # type: ignore[attr-defined]
    with pytest.raises(checks.NotEnough, match=r"1\.0 GiB free, expected 4 GiB"):
        checks.require(StackSettings(var=tmp_path / "not" / "there"), [])


def test_a_library_that_no_wheel_brings_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LIBRARY", "libabsent.so.1")
    found = {each.name: each for each in packages()}
    assert found["libraries: engine"].detail == "missing: libabsent.so.1"
    with pytest.raises(checks.NotEnough, match=r"libabsent\.so\.1 is missing, .* apt install libnuma1"):
        checks.require(StackSettings(var=tmp_path), ["engine-0"])
    checks.require(StackSettings(var=tmp_path), [])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("kafka_port", 0, "a port from 1 to 65535"),
        ("gateway_port", 9092, "all different"),
        ("engine_ports", (), "at least one port"),
        ("max_lora_rank", 12, "one of"),
        ("gpu_memory_share", 1.5, "at most 1"),
        ("max_loras", 0, "at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(key: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        StackSettings(**{key: value})  # type: ignore[arg-type]


def test_a_model_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, text in (("config.json", json.dumps({"model_type": "llama"})), ("tokenizer.json", "{}")):
        (tmp_path / name).write_text(text)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    header = json.dumps({"x": {"dtype": "U8", "shape": [900], "data_offsets": [0, 900]}}).encode().ljust(92)
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x" * 900)
    assert stack.model_folder(StackSettings(model=tmp_path)) == tmp_path
    assert checks.weights_bytes(tmp_path) == 1000
