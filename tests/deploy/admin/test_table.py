"""Each command, and each of its parameters, is taken from elsewhere or is not, and that is written down."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from deploy.admin.arguments import VERSIONS, command
from deploy.admin.table import BACK, LOCAL, REMOTE, SENT, Kind, refusal
from deploy.cli import main
from serving.access_settings import SCOPES


def names(group: click.Group, path: str = "") -> Iterator[str]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from names(found, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_every_command_runs_there_or_here_and_none_both() -> None:
    assert sorted(names(main)) == sorted([*REMOTE, *LOCAL])


@pytest.mark.parametrize("name", REMOTE)
def test_every_parameter_is_taken_or_refused_with_a_reason(name: str) -> None:
    """A new option is decided about before it can come from elsewhere."""
    parameters = {str(each.name) for each in command(main, name).params}
    taken = set(REMOTE[name].kinds)
    assert taken <= parameters
    assert {each for each in parameters - taken if not refusal(name, each)} == set()
    assert {each for each in taken if refusal(name, each)} == set()
    assert REMOTE[name].scope in SCOPES


@pytest.mark.parametrize("name", REMOTE)
def test_a_parameter_that_is_a_path_is_a_file_that_is_sent_or_comes_back(name: str) -> None:
    for each in command(main, name).params:
        kind = REMOTE[name].kinds.get(str(each.name))
        if kind is not None:
            assert isinstance(each.type, click.Path) == (kind in (*SENT, *BACK)), each.name
            assert kind is not Kind.FOLDER or not getattr(each.type, "file_okay", True)
            assert isinstance(each, click.Argument) or each.nargs == 1, "a pair of values has no form here"
            assert isinstance(each, click.Argument) or max(each.opts, key=len).startswith("--")


def test_what_the_checks_look_at_by_name_is_named_so() -> None:
    """A key that is bound to aliases is held to `alias`, `version`, `champion`: no parameter names one otherwise."""
    found = {str(each.name) for name in REMOTE for each in command(main, name).params}
    assert {"alias", *VERSIONS} <= found
    assert {each for each in found if "alias" in each} == {"alias", "aliases"}, "`aliases`: a number, of `monitor plan`"
