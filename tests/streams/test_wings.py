"""The wings of `streams`: who may import whom, types included; and that no files stand in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "streams"
FLOORS: tuple[tuple[str, ...], ...] = (  # each may import those above it, and itself
    ("clock", "files", "kinds", "events", "topics", "codec", "identity", "routes", "settings", "metrics"),
    ("log", "lake"),
    ("journal", "reports", "ledger", "dead_letters"),
    ("ingest", "judge"),
    ("worker",),
)
NEVER = (("judge", "ingest"), ("worker", "journal"), ("judge", "journal"), ("ingest", "journal"), ("log", "lake"))
FLOOR = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted(ROOM.rglob("*.py"))}


def imports(path: Path) -> Iterator[str]:
    """The files of the room that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in FILES else node.module for name in below if node.module.startswith("streams"))


def wing(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def arrows() -> list[tuple[str, str]]:
    return [(name, other) for name, path in FILES.items() for other in imports(path) if name != other]


def test_every_file_has_a_floor() -> None:
    assert sorted({wing(name) for name in FILES} - {""} - set(FLOOR)) == []


def test_wings_import_only_along_their_arrows() -> None:
    strays = [
        f"{name} imports {other}"
        for name, other in arrows()
        if wing(other) and wing(name) != wing(other) and FLOOR[wing(other)] > FLOOR[wing(name)]
    ]
    assert strays == []


@pytest.mark.parametrize(("one", "other"), NEVER)
def test_these_wings_never_meet(one: str, other: str) -> None:
    met = [f"{name} imports {found}" for name, found in arrows() if (wing(name), wing(found)) == (one, other)]
    met += [f"{name} imports {found}" for name, found in arrows() if (wing(name), wing(found)) == (other, one)]
    assert met == []


def test_no_files_stand_in_a_circle() -> None:
    try:
        TopologicalSorter({name: set(imports(path)) - {name} for name, path in FILES.items()}).prepare()
    except CycleError as error:
        raise AssertionError(error.args[1]) from error


def test_only_the_consumer_knows_the_insides_of_faust() -> None:
    strays = [
        f"{name}:{node.lineno}"
        for name, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and "consumer" in ast.unparse(node.value)
        and not name.startswith("streams.worker.consumer")
    ]
    assert strays == []
