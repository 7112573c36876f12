"""A wing's sign, the docstring of its `__init__.py`, names what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("dashboards", "deploy", "monitor", "retrain", "serving", "streams")
SIGNS = [path for room in ROOMS for path in sorted((ROOT / room).rglob("__init__.py"))]


def names(sign: Path) -> list[str]:
    """The dotted names and paths between backticks."""
    found = re.findall(r"`([^`]+)`", ast.get_docstring(ast.parse(sign.read_text(encoding="utf-8"))) or "")
    return [each for each in found if re.fullmatch(r"[\w/]+(\.\w+)*", each) and each != "homeostat"]


def defined(module: Path) -> set[str]:
    """What a module's top level gives a name to, and what its classes do."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    nodes = [*tree.body, *(node for each in tree.body if isinstance(each, ast.ClassDef) for node in each.body)]
    targets = [each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)] for each in nodes]
    given = {target.id for some in targets for target in some if isinstance(target, ast.Name)}
    return given | {str(name) for each in nodes if (name := getattr(each, "name", None))}


def is_there(sign: Path, name: str) -> bool:
    """Check that it is a path, a module or a wing next to the sign or above, or something that a module defines."""
    if "/" in name:
        return (ROOT / name).exists()
    first, *rest = name.split(".")
    for folder in (sign.parent, *sign.parent.parents):
        module = folder.joinpath(first, *rest).with_suffix(".py")
        owner = folder.joinpath(first, *rest[:-1]).with_suffix(".py") if rest else folder / "__init__.py"
        if module.exists() or folder.joinpath(first, *rest).is_dir():
            return True
        if owner.exists() and name.rpartition(".")[2] in defined(owner):
            return True
        if folder == ROOT:
            break
    return not rest and any(first in defined(each) for each in sign.parent.glob("*.py"))


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: str(sign.parent.relative_to(ROOT)))
def test_what_a_sign_names_is_there(sign: Path) -> None:
    assert [name for name in names(sign) if not is_there(sign, name)] == []
