"""What README and the examples show runs: files, settings, commands, and the client against a gateway."""

from __future__ import annotations

import asyncio
import re
import runpy
import shlex
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest

from deploy.cli import main
from deploy.config.parse import build
from deploy.config.settings import Config, load
from tests.serving.support.scene import OLD, Scene

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
CLIENT = ROOT / "examples" / "client.py"


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


def test_readme_shows_that_client() -> None:
    shown = [text for kind, text in BLOCKS if kind == "python"]
    assert shown == [CLIENT.read_text().partition('"""\n\n')[2]]


def test_the_settings_of_the_example_are_settings() -> None:
    config = load(ROOT / "examples" / "homeostat.toml", {"HOMEOSTAT__KAFKA__OPTIONS__SASL_PLAIN_PASSWORD": "x"})
    assert config.stack.engine_ports == (8001, 8002)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "toml"])
def test_the_settings_that_readme_shows_are_settings(text: str) -> None:
    build(Config, tomllib.loads(text), "README")


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
    assert {kind for kind, _ in BLOCKS} <= {"console", "python", "toml", "mermaid"}
    assert [line for line in LINES if not line.startswith(("make ", "homeostat ", "export "))] == []
