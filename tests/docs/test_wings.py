"""Each folder's sign, the docstring of its `__init__.py`, is as long as a sign, and names what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.topics import TOPICS
from tests.docs.metrics import ROOMS

ROOT = Path(__file__).parents[2]
SIGNS = sorted(path for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))
QUOTED = re.compile(r"`([^`]+)`")
NAME = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)*")
DEFINED = r"^(?:    )?(?:async )?(?:def |class )?{}\b[^.]"
ELSEWHERE = {"homeostat", *(topic.name for topic in TOPICS)}


def folders(sign: Path) -> Iterator[Path]:
    """The folder of a sign and those around it: a wing names its own modules first, then its neighbours."""
    folder = sign.parent
    while folder != ROOT:
        yield folder
        folder = folder.parent
    yield ROOT


def there(name: str, sign: Path) -> bool:
    """A folder, a module, what a module defines, or what some module of the folder defines."""
    for folder in folders(sign):
        first, *rest = name.split(".")
        place = folder / first
        while place.is_dir() and rest:
            place /= rest.pop(0)
        if place.is_dir() or (module := place.with_suffix(".py")).is_file():
            return not rest or re.search(DEFINED.format(rest[0]), module.read_text(), re.MULTILINE) is not None
    texts = (path.read_text() for path in sign.parent.glob("*.py"))
    return any(re.search(DEFINED.format(name), text, re.MULTILINE) for text in texts)


@pytest.mark.parametrize("sign", SIGNS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_sign_names_what_is_there(sign: Path) -> None:
    text = ast.get_docstring(ast.parse(sign.read_text())) or ""
    assert 5 <= len(sign.read_text().splitlines()) <= 12, "5 to 12 lines: what it is, the way in, who may import it"
    names = [name for name in QUOTED.findall(text) if NAME.fullmatch(name) and name not in ELSEWHERE]
    assert [name for name in names if not there(name, sign)] == []
    paths = [name for name in QUOTED.findall(text) if "/" in name]
    assert [name for name in paths if not (ROOT / name).exists()] == []
