"""The folders are the architecture: who may import whom, and what stays importable without the heavy parts."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("serving", "monitor", "retrain", "streams", "dashboards", "deploy")
ARROWS: dict[str, set[str]] = {
    "monitor": set(),
    "dashboards": set(),
    "streams": {"monitor"},
    "serving": {"streams", "monitor"},
    "retrain": {"streams", "monitor"},
    "deploy": {"serving", "monitor", "retrain", "streams", "dashboards"},
}
HEAVY = ("faust", "vllm", "torch", "transformers", "kafka", "aiokafka", "mlflow", "evidently", "whylogs", "pandas")
PURE = (
    "monitor.rows",
    "monitor.settings",
    "monitor.describe.descriptors",
    "monitor.describe.pii",
    "monitor.signals.flags",
    "monitor.signals.comparison",
    "monitor.signals.gaps",
    "monitor.judge",
    "monitor.policy",
    "monitor.detectors.paired",
    "monitor.metrics",
    "streams.events",
    "streams.topics",
    "streams.codec",
    "streams.identity",
    "serving.rollout.state",
    "serving.rollout.machine",
    "serving.rollout.recovery",
    "serving.rollout.outcomes",
    "serving.routes.attestations",
    "serving.rollout.changes",
    "serving.routes.slots",
    "serving.replica.probe",
    "serving.rollout.guard",
    "serving.routes.routing",
    "retrain.evaluation.gate",
    "retrain.claims",
    "retrain.training.recipe",
    "deploy.operator.replay",
    "deploy.backtest.policies",
    "deploy.backtest.outcome",
    "deploy.backtest.harms",
    "deploy.backtest.measures",
)


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_along_its_arrows(room: str) -> None:
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in imports(path)
        if (other := name.partition(".")[0]) in ROOMS and other != room and other not in ARROWS[room]
    ]
    assert strays == []


def test_every_room_has_modules() -> None:
    assert [room for room in ROOMS if len(modules(room)) < 2] == []


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_without_the_heavy_parts(module: str) -> None:
    code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_nothing_of_this_machine_is_written_down() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    strays = [
        name
        for name in tracked
        if (ROOT / name).suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".lock", ".json", ""}
        and (ROOT / name).is_file()
        and any(
            word in (ROOT / name).read_text(errors="ignore")
            for word in (f"{ROOT}/", "--index" + "-url", "--find" + "-links")
        )
    ]
    assert strays == []
