"""Whatever the documents name is there: files, modules, tests, commands, settings, topics, metrics, links."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from deploy.cli import main
from deploy.config.reference import sections
from deploy.operator.replay import FUNCTIONS
from streams.topics import TOPICS
from tests.docs.metrics import ROOMS, metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS = (*ROOMS, "tests", "docs", "examples")
QUOTED = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]*(?:::\w+)?")
DOTTED = re.compile(r"[a-z]+(?:\.[A-Za-z_]\w*)+")
METRIC = re.compile(r"homeostat_[a-z0-9_]+")


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Each line outside of code blocks and without the mark, with its number."""
    code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        code ^= line.startswith("```")
        if not code:
            yield number, line


def quoted() -> Iterator[tuple[str, str]]:
    for path in DOCUMENTS:
        for number, line in prose(path):
            yield from ((f"{path.relative_to(ROOT)}:{number}", text) for text in QUOTED.findall(line))


def missing(form: re.Pattern[str] | str, there: Callable[[str], bool]) -> list[str]:
    """What has this form and is not there, with its place."""
    return [f"{place}: {text}" for place, text in quoted() if re.fullmatch(form, text) and not there(text)]


def exists(text: str) -> bool:
    name, _, test = text.partition("::")
    found = list(ROOT.glob(name.rstrip("/"))) if "*" in name else [p for p in [ROOT / name] if p.exists()]
    return bool(found) and (not test or test in functions(ROOT / name))


@cache
def functions(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@cache
def all_tests() -> set[str]:
    return set().union(*(functions(path) for path in (ROOT / "tests").rglob("test_*.py")))


@cache
def names() -> set[str]:
    """The dotted names that are no modules."""
    settings = {each.key for section in sections() for each in section.settings} | {each.name for each in sections()}
    return settings | {topic.name for topic in TOPICS} | set(FUNCTIONS)


def named(text: str) -> bool:
    """A setting, topic, function of the ledger, module, or what a module defines."""
    if text in names() or text.partition(".")[0] not in FOLDERS:
        return text in names() or not any(each.startswith(f"{text.partition('.')[0]}.") for each in names())
    parts = text.split(".")
    for count in range(len(parts), 0, -1):
        for file in (ROOT.joinpath(*parts[:count]).with_suffix(".py"), ROOT.joinpath(*parts[:count], "__init__.py")):
            if file.is_file():
                return count == len(parts) or re.search(rf"\b{parts[count]}\b", file.read_text()) is not None
    return False


def commanded(text: str) -> bool:
    """A command, as far as its words are names of commands; what follows is not looked at."""
    found: click.Command = main
    for each in text.split()[1:]:
        if not isinstance(found, click.Group):
            return True
        if each not in found.commands:
            return not each[0].islower()
        found = found.commands[each]
    return True


def made(text: str) -> bool:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return text.split()[1] in targets


def ran(text: str) -> bool:
    module = text.split()[2]
    return (ROOT / module.replace(".", "/")).exists() or find_spec(module) is not None


def helps(command: click.Command = main, path: str = "homeostat") -> Iterator[tuple[str, str]]:
    """What each command says of itself and its options."""
    options = [each.help or "" for each in command.params if isinstance(each, click.Option)]
    yield path, "\n".join([command.help or "", *options])
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from helps(each, f"{path} {name}")


def opened(text: str) -> set[str]:
    """The options of the command that a text calls."""
    found: click.Command = main
    for each in text.split()[1:]:
        found = found.commands.get(each, found) if isinstance(found, click.Group) else found
    return {"--help"} | {option for each in found.params for option in each.opts}


@pytest.mark.slow
def test_files_and_tests_in_them() -> None:
    assert missing(PATH, exists) == []


def test_tests_by_their_names() -> None:
    assert missing(r"test_\w+", lambda text: text in all_tests()) == []


def test_modules_settings_topics_and_functions_of_the_ledger() -> None:
    assert missing(DOTTED, named) == []


def test_commands() -> None:
    assert missing(r"homeostat [a-z].*", commanded) == []
    assert missing(r"make [a-z-]+.*", made) == []
    assert missing(r"python -m [\w.]+.*", ran) == []


@pytest.mark.parametrize(("path", "text"), helps(), ids=lambda value: value if value.startswith("homeostat") else "")
def test_help_names_commands_options_and_settings_that_there_are(path: str, text: str) -> None:
    one_line = " ".join(text.split())
    called = [each for each in QUOTED.findall(one_line) if each.startswith("homeostat ")]
    assert [each for each in called if not commanded(each)] == []
    assert [o for each in called for o in re.findall(r"--[a-z-]+", each) if o not in opened(each)] == []
    known = {each.name for each in sections()}
    dotted = [each for each in DOTTED.findall(one_line) if each.partition(".")[0] in known]
    assert [each for each in dotted if each not in names()] == []


def test_metrics() -> None:
    known = {each.name for room in ROOMS for each in metrics(room)}
    assert missing(METRIC, lambda text: text in known) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    lost = []
    for number, line in prose(path):
        for target in LINK.findall(line):
            name, _, anchor = target.partition("#")
            file = path.parent / name if name else path
            if "://" not in target and not (file.exists() and (not anchor or anchor in anchors(file))):
                lost.append(f"{number}: {target}")
    assert lost == []


@cache
def anchors(path: Path) -> set[str]:
    """The headings of a file as links name them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_readme_leads_to_every_document() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text()))
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in linked] == []


def test_prose_ends_before_column_121() -> None:
    """Tables and code are as wide as they are."""
    lines = [(path, number, line) for path in DOCUMENTS for number, line in prose(path) if not line.startswith("|")]
    assert [f"{path.relative_to(ROOT)}:{number}" for path, number, line in lines if len(line) > 120] == []


def test_there_is_something_to_check() -> None:
    assert len(DOCUMENTS) > 15
    assert sum(1 for _ in quoted()) > 300
