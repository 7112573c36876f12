"""What README and the examples show runs: files, settings, commands, and the client against a gateway."""

from __future__ import annotations

import asyncio
import csv
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.cli import main
from deploy.config.parse import build
from deploy.config.settings import Config, load
from deploy.demo.data import read
from deploy.demo.shares import share_rows
from deploy.demo.world.world import world
from deploy.operator.rows import LabelledRow
from streams.messages import ToolCall
from streams.scoring.dotted import CallableGrader
from streams.scoring.rows import AnsweredRow, chat_choice
from streams.scoring.settings import ByCallable, ByName, ByRubric, BySchema
from tests.serving.support.scene import OLD, Scene

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(README)
LINES = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
CLIENT = ROOT / "examples" / "client.py"
OTHER_FILES = ("[support-app]", "[gender]", "[[candidate]]")  # keys, swapped terms, a comparison: files of their own


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene().running() as running:
        yield running


async def test_the_client_asks_and_gives_a_label(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOMEOSTAT_URL", scene.url("/v1"))
    monkeypatch.setenv("HOMEOSTAT_KEY", "secret")
    await asyncio.to_thread(runpy.run_path, str(CLIENT))
    assert capsys.readouterr().out.endswith(f"from {OLD}\n")
    (event,) = await scene.served()
    (given,) = await scene.feedback()
    assert (given.event_id, given.label, event.client) == (event.id, "card arrival", event.client)
    assert event.client.startswith("app/")


def test_the_document_of_serving_shows_that_client() -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "serving.md").read_text())
    assert [text for kind, text in blocks if kind == "python"] == [CLIENT.read_text().partition('"""\n\n')[2]]


def test_the_demo_takes_the_files_that_are_made_of_own_tickets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's two lines, as they are: rows end up in the order of time, those of the day of the change after it."""
    made, taken = [shlex.split(line) for line in LINES if "var/own" in line]
    before, after = world(size="small")
    before[0] = LabelledRow('Two lines,\nand a "quote"; \u00fcber alles', before[0].label)
    days = [*(f"2026-04-{1 + i * 30 // len(before):02}" for i in range(len(before))), *["2026-05-01"] * len(after)]
    rows = [(day, row.text, row.label) for day, row in zip(days, before + after, strict=True)]
    half = share_rows(len(before), len(after), 0.5).champion
    with open(tmp_path / made[2], "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("date", "text", "label"), *rows[half:], *rows[:half]])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", made[1:])
    runpy.run_path(str(ROOT / made[1]))
    folder = shlex.split(taken[-1].removeprefix("ARGS="))[1]
    assert read(Path(folder)) == (before, after)


def test_the_settings_of_the_example_are_settings() -> None:
    config = load(ROOT / "examples" / "homeostat.toml", {"HOMEOSTAT__KAFKA__OPTIONS__SASL_PLAIN_PASSWORD": "x"})
    assert config.stack.engine_ports == (8001, 8002)


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{each.name}" for each in (ROOT / "docs").glob("*.md"))])
def test_the_settings_that_a_page_shows_are_settings(page: str) -> None:
    for kind, text in BLOCK.findall((ROOT / page).read_text()):
        if kind == "toml" and not text.startswith(OTHER_FILES):
            build(Config, tomllib.loads(text.replace('"..."', f'"{"A" * 43}="')), page)


def test_the_metrics_that_the_document_of_scoring_shows_are_metrics() -> None:
    blocks = dict(BLOCK.findall((ROOT / "docs" / "scoring.md").read_text()))
    config = build(Config, tomllib.loads(blocks["toml"]), "scoring")
    kinds = [type(config.scoring.metric(alias)) for alias in config.scoring.metrics]
    assert kinds == [ByName, BySchema, ByRubric, ByCallable]
    shown: dict[str, Any] = {}
    exec(blocks["python"], shown)
    call = chat_choice("", [ToolCall("block", "{}")], "tool_calls")
    request = {"messages": [], "tools": [{"type": "function", "function": {"name": "block"}}]}
    bare: dict[str, Any] = {"messages": []}
    rows = [AnsweredRow(given, "", [call], None) for given in (request, bare)]
    assert asyncio.run(CallableGrader(shown["score"], 5.0).scores(rows)) == [1.0, 0.0]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("homeostat ")])
def test_the_commands_that_readme_shows_take_these_arguments(line: str) -> None:
    name, *words = shlex.split(line, comments=True)
    command: click.Command = main
    context: click.Context | None = None
    while isinstance(command, click.Group):
        name, command = words[0], command.commands[words.pop(0)]
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(click.Context(command, info_name=name), words)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_the_targets_that_readme_shows_are_there(line: str) -> None:
    _, target, *more = shlex.split(line, comments=True)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in (each.removeprefix("ARGS=") for each in more):
        demo = main.commands["demo"]
        demo.parse_args(click.Context(demo), shlex.split(words))


def test_readme_shows_nothing_else() -> None:
    assert {kind for kind, _ in BLOCKS} == {"console", "toml", "mermaid"}
    others = [line for line in LINES if not line.startswith(("make ", "homeostat ", "export "))]
    assert [each for each in others if not (ROOT / shlex.split(each, comments=True)[1]).is_file()] == []
    assert {each.partition("/")[0] for each in others} == {"python examples"}
