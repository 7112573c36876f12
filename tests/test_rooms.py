"""The folders are the architecture: who may import whom, and what stays importable without the heavy parts."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARROWS: dict[str, set[str]] = {
    "monitor": set(),
    "dashboards": set(),
    "streams": {"monitor"},
    "serving": {"streams", "monitor"},
    "retrain": {"streams", "monitor"},
    "deploy": {"serving", "monitor", "retrain", "streams", "dashboards"},
}
ROOMS = tuple(ARROWS)
# Floors of a room, the lowest first. A module imports from the floors below its own and from its own group; groups on
# one floor are parted by "|" and know nothing of each other. A name is a file or a folder; each file has a floor.
FLOORS: dict[str, tuple[str, ...]] = {
    "monitor": (
        "losses rows findings validation characters canonical flat_table",
        "metrics | operator_answer | describe | detectors | selection.sources",
        "settings | reference",
        "selection",
        "explain",
        "signals",
        "watch | windows | policy | budget",
        "judge",
        "missing_labels",
    ),
    "streams": (
        "clock files kinds messages events topics codec identity proof routes signatures settings metrics"
        " engine_access log.security.tls",
        "objects | scoring | telemetry",
        "log | lake",
        "journal | reports | ledger",
        "ingest | judge",
        "worker",
    ),
    "serving": (
        "settings access_settings metrics append sidecar.settings",
        "routes",
        "gateway.errors",
        "replica | gateway.access | gateway.engines | gateway.openai | gateway.masking | gateway.excerpt"
        " | gateway.patience | gateway.recent_answers",
        "gateway.http | gateway.exchange | rollout",
        "gateway.transcript | gateway.observation",
        "gateway.capture",
        "gateway.forward | gateway.feedback | gateway.caller",
        "gateway.shadow",
        "gateway.inference",
        "gateway.application | gateway.admin | sidecar",
        "gateway",
    ),
    "retrain": (
        "settings tensor_file metrics synthetic.settings runners.settings",
        "data | claims | requests | base_model | adapters",
        "training | synthetic",
        "evaluation | registry",
        "harness | card",
        "job_files",
        "job_rows | handover | runners",
        "job_evaluation | runners.outcome",
        "job_steps | first_adapter | choice",
        "job",
        "trainer",
    ),
    "deploy": (
        "stack",
        "config | show | doctor",
        "operator",
        "admin",
        "roles | backtest | demo | gate",
        "commands",
        "cli",
    ),
    "dashboards": (
        "panels promql",
        "rules",
        "fleet | pages",
        "texts",
        "alerts | prometheus_rules",
        "push",
        "export",
    ),
}
HEAVY = ("faust", "vllm", "torch", "transformers", "kafka", "aiokafka", "mlflow", "evidently", "whylogs", "pandas")
PURE = (
    "monitor.losses",
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
    "streams.scoring.settings",
    "streams.scoring.scorer",
    "streams.scoring.agreement",
    "streams.events",
    "streams.topics",
    "streams.codec",
    "streams.identity",
    "streams.proof",
    "streams.signatures",
    "serving.rollout.state",
    "serving.rollout.machine",
    "serving.rollout.recovery",
    "serving.rollout.outcomes",
    "serving.routes.attestations",
    "serving.rollout.changes",
    "serving.routes.slots",
    "serving.replica.effect",
    "serving.replica.probe",
    "serving.rollout.guard",
    "serving.routes.routing",
    "serving.routes.statement",
    "serving.routes.trust",
    "retrain.evaluation.gate",
    "retrain.harness.verdict",
    "retrain.claims",
    "retrain.training.recipe",
    "retrain.choice.decision",
    "retrain.runners.local",
    "retrain.runners.manifest",
    "deploy.operator.replay",
    "deploy.backtest.policies",
    "deploy.backtest.outcome",
    "deploy.backtest.harms",
    "deploy.backtest.measures",
)
OPENERS = {"io", "os", "pathlib", "tempfile", "shutil", "socket", "subprocess"}


@cache
def sources() -> dict[str, Path]:
    """Every module of every room, by its dotted name."""
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(sources()[module].read_text())


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports of the rooms, late imports and those for types included."""
    return frozenset(name for name in _imported(tree(module)) if name in sources() and name != module)


def _imported(parsed: ast.Module) -> Iterator[str]:
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in sources() else node.module


def modules(room: str) -> list[str]:
    return [name for name in sources() if name.partition(".")[0] == room]


def place(room: str, module: str) -> tuple[int, str]:
    """The floor of a module and its group there; the longest name that fits counts. A room's face stands above all."""
    inside = module.removeprefix(f"{room}.")
    found = [
        (len(name), floor, group)
        for floor, groups in enumerate(FLOORS[room])
        for group in groups.split("|")
        for name in group.split()
        if inside == name or inside.startswith(f"{name}.")
    ]
    if inside == room:
        return len(FLOORS[room]), ""
    assert found, f"{module} stands on no floor: give it one in FLOORS"
    _, floor, group = max(found)
    return floor, group


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_along_its_arrows(room: str) -> None:
    strays = [
        f"{module} imports {name}"
        for module in modules(room)
        for name in imports(module)
        if (other := name.partition(".")[0]) != room and other not in ARROWS[room]
    ]
    assert strays == []


@pytest.mark.parametrize("room", FLOORS)
def test_a_wing_imports_from_the_floors_below(room: str) -> None:
    strays = [
        f"{module} imports {name}"
        for module in modules(room)
        for name in imports(module)
        if name.partition(".")[0] == room
        and not (place(room, name)[0] < place(room, module)[0] or place(room, name) == place(room, module))
    ]
    assert strays == []


def test_no_files_import_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports(module) for module in sources()}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


def test_mlflow_is_known_to_its_book_keepers_alone() -> None:
    """Serving imports it nowhere, not even late: no reply waits for it."""
    found = {module for module in sources() if any(name.split(".")[0] == "mlflow" for name in _imported(tree(module)))}
    assert found == {"retrain.training.tracking", "retrain.training.tracked_datasets", "retrain.registry.mirror"}


def test_every_room_has_modules() -> None:
    assert [room for room in ROOMS if len(modules(room)) < 2] == []


@pytest.mark.slow
def test_monitor_opens_no_file() -> None:
    nodes = [(module, node) for module in modules("monitor") for node in ast.walk(tree(module))]
    opened = [module for module, node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "open"]
    imported = [module for module in modules("monitor") if OPENERS & set(_imported(tree(module)))]
    assert opened + imported == []


def test_only_the_consumer_knows_the_insides_of_faust() -> None:
    strays = [
        f"{module}:{node.lineno}"
        for module in modules("streams")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and "consumer" in ast.unparse(node.value)
        and module != "streams.worker.consumer"
    ]
    assert strays == []


@pytest.mark.slow
def test_benches_use_what_tests_use_and_no_test_uses_a_bench() -> None:
    benches = ROOT / "tests" / "bench"
    others = (path for path in (ROOT / "tests").rglob("*.py") if benches not in path.parents)
    assert [
        str(path) for path in others if any("tests.bench" in name for name in _imported(ast.parse(path.read_text())))
    ] == []


@pytest.mark.slow
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
