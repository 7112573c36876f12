"""The wings of deploy: which may import which. `commands` and `cli` on top may import all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARROWS: dict[str, set[str]] = {
    "stack": set(),
    "config": {"stack"},
    "doctor": {"stack"},
    "show": {"stack"},
    "operator": {"stack", "config", "show"},
    "roles": {"stack", "config", "operator"},
    "backtest": {"config", "show", "operator"},
    "demo": {"stack", "config", "show", "operator"},
}


def imports(wing: str) -> Iterator[tuple[str, str]]:
    """Each module with a wing of deploy that it imports, late imports included."""
    for path in sorted((ROOT / "deploy" / wing).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("deploy."):
                yield str(path.relative_to(ROOT)), node.module.split(".")[1]


@pytest.mark.parametrize("wing", ARROWS)
def test_a_wing_imports_only_along_its_arrows(wing: str) -> None:
    assert [stray for stray in imports(wing) if stray[1] not in {wing, *ARROWS[wing]}] == []


def test_every_wing_has_its_arrows() -> None:
    wings = {path.parent.name for path in (ROOT / "deploy").glob("*/__init__.py")}
    assert wings - {"commands"} == set(ARROWS)
    assert not any(wing in ARROWS[other] for wing in ARROWS for other in ARROWS[wing])
