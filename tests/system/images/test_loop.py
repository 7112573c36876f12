"""The closed loop in containers: `deploy/compose.yaml` as it stands, each role in a container of its own, on Gemma.

The scenario is the demo's. SIZE=full takes the whole of its world, as `make demo` does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from rich.console import Console

from deploy.config import settings as configuration
from deploy.config.toml import dump
from deploy.demo import loop
from deploy.demo import stack as demo_stack
from deploy.demo.loop import DemoData, DemoOptions
from deploy.demo.memory import PeakMemory
from deploy.demo.report import DemoReport
from deploy.demo.stack import ALIAS, DemoStack
from deploy.stack.engine import answers_ok
from deploy.stack.lifecycle import model_folder
from deploy.stack.settings import StackSettings
from tests.support.waiting import wait
from tests.system.images.composition import Composition, as_variables
from tests.system.images.containers import podman

pytestmark = [pytest.mark.system, pytest.mark.images, pytest.mark.timeout(5_400)]

TARGETS = {"GATEWAY": "gateway", "REPLICA": "replica", "WORKER": "worker", "RENDERER": "renderer", "ADMIN": "admin"}
TARGETS |= {"TRAINER_CPU": "trainer", "VLLM_CPU": "trainer", "MLFLOW": "trainer"}  # it has vLLM and MLflow
ROLES = ("gateway", "replica", "worker", "renderer", "admin", "trainer-cpu", "controller", "storage")
HEALTH = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=5)"


@dataclass
class Loop:
    """What was run, and what came of it."""

    composition: Composition
    report: DemoReport
    targets: dict[str, str]  # Prometheus': whether each is up


@pytest.fixture(scope="module")
def ran(base: str, image_of: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    images = {f"{name}_IMAGE": image_of(target) for name, target in TARGETS.items()}
    folder = tmp_path_factory.mktemp("composed")
    options = DemoOptions(report=folder, size=os.environ.get("SIZE", "small"))
    data = DemoData.of(options)
    sections = demo_stack.tables(folder, None, data.shares)
    composition = Composition(folder, images, base, readable(folder / "model"), as_variables({**sections, "stack": {}}))
    composition.prepare()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in composition.storage.items():
            patch.setenv(name, value)
        stack = seen_from_here(composition, sections, max(len(row.label) for row in data.before + data.after))
        try:
            report = loop.play(options, data, stack, lambda: begun(composition, data), Console())
            yield Loop(composition, report, scraped(composition.ports["PROMETHEUS"]))
        finally:
            stack.memory.stop()
            for service in composition.services():
                (folder / f"{service}.log").write_text(composition.logs(service, 2_000))
            composition.compose("down", "-v", check=False)


def readable(folder: Path) -> Path:
    """The base model, for a user that is not its owner."""
    shutil.copytree(model_folder(StackSettings()), folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def seen_from_here(composition: Composition, sections: dict[str, dict[str, object]], longest: int) -> DemoStack:
    """The composition as the demo's clients and its observer reach it: by published ports."""
    folder, at = composition.folder, composition.ports
    reached: dict[str, dict[str, object]] = {
        **sections,
        "stack": {
            "var": str(folder / "var"),
            "embedded_kafka": False,
            "gateway_port": at["GATEWAY"],
            "gateway_admin_port": at["PROBES"],
            "worker_metrics_port": at["WORKER"],
        },
        "kafka": {"bootstrap": f"127.0.0.1:{at['KAFKA']}"},
        "storage": {
            "url": "s3://homeostat/compose",
            "options": {"endpoint": f"http://127.0.0.1:{at['S3']}", "allow_http": "true", "region": "us-east-1"},
        },
    }
    path, key = folder / "homeostat.toml", folder / "var" / "secrets" / "api.key"
    path.write_text(dump(reached))
    key.parent.mkdir(parents=True, mode=0o700)
    key.write_text(composition.client)
    key.chmod(0o600)
    memory = PeakMemory(lambda: [int(pid) for pid in podman("ps", "-q", "--format", "{{.Pid}}").split()])
    memory.start()
    return DemoStack(
        folder / "var", path, configuration.load(path, {}), composition.model, None, max(8, longest // 2 + 4), memory
    )


def begun(composition: Composition, data: DemoData) -> str:
    """Start all, and have the admin API train and promote a first version; return that."""
    composition.up()
    port = composition.ports["ADMIN"]
    wait(lambda: answers_ok(f"http://127.0.0.1:{port}/healthz"), "admin", 300)
    rows = composition.folder / "rows.jsonl"
    first = data.before[: data.shares.champion]
    rows.write_text("".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in first))
    trained = composition.homeostat("train", ALIAS, str(rows))
    version = next(word for word in trained.split() if word.startswith(f"{ALIAS}-"))
    asked = ("exec", composition.container("vllm-cpu"), "python3", "-c", f"{HEALTH}; print('well')")
    wait(lambda: podman(*asked, check=False) == "well", "vLLM", 600)
    composition.homeostat("promote", ALIAS, version)
    return version


def scraped(port: int) -> dict[str, str]:
    """Whether Prometheus reaches each target, by its job."""
    with urlopen(f"http://127.0.0.1:{port}/api/v1/targets") as answer:
        found = json.load(answer)["data"]["activeTargets"]
    return {each["labels"]["job"]: f"{each['health']} {each['lastError']}".strip() for each in found}


def test_the_quality_comes_back(ran: Loop) -> None:
    accuracy = ran.report.accuracy
    assert ran.report.outcome == "recovered", ran.report
    assert accuracy.before is not None
    assert accuracy.drifted is not None
    assert accuracy.after is not None
    assert accuracy.after >= max(accuracy.drifted + 0.20, accuracy.before - 0.10)


def test_no_client_notices_and_every_reply_is_captured_once(ran: Loop) -> None:
    requests, events = ran.report.requests, ran.report.events
    assert (requests.failed, requests.misattributed) == (0, 0)
    assert (events.published - events.duplicates, events.dead_lettered) == (requests.sent, 0)
    assert events.consumed == requests.sent


@pytest.mark.parametrize("service", ROLES)
def test_a_role_ran_all_the_time_without_rights(ran: Loop, service: str) -> None:
    name = ran.composition.container(service)
    assert podman("inspect", "--format", "{{.State.Running}} {{.RestartCount}}", name) == "true 0", (
        ran.composition.logs(service)
    )
    assert podman("exec", name, "id", "-u") == "65532"
    assert "Read-only file system" in podman("exec", name, "sh", "-c", "touch /opt/homeostat/mine 2>&1 || true")
    assert int(podman("exec", name, "grep", "CapEff", "/proc/1/status").split()[1], 16) == 0
    role = service.removesuffix("-cpu")
    assert podman("exec", name, "homeostat", "health", role) == f"{role} is alive"


def test_prometheus_reaches_every_role(ran: Loop) -> None:
    assert set(ran.targets.values()) == {"up"}, ran.targets


def test_nobody_but_the_side_car_and_evaluations_reach_the_engine(ran: Loop) -> None:
    """Its admin paths know no keys."""
    asked = "import socket; socket.create_connection(('vllm', 8000), timeout=5); print('reached')"
    containers = {each: ran.composition.container(each) for each in ROLES}
    found = {each: podman("exec", name, "python3", "-c", asked, check=False) for each, name in containers.items()}
    assert {each for each, said in found.items() if said} == {"replica", "trainer-cpu"}
