"""The commands that the admin API takes, for programs: scope, help, and each parameter with what it is."""

from __future__ import annotations

import click
import msgspec

from deploy.admin.arguments import command
from deploy.admin.table import REMOTE, Kind

IS = {
    Kind.FILE: "file",
    Kind.FOLDER: "folder",
    Kind.FILE_BACK: "name for the file that comes back",
    Kind.FOLDER_BACK: "name for the folder that comes back",
}


class ListedParameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter of a command. `type` as click names it, or what is sent or comes back."""

    name: str
    type: str
    required: bool = False
    several: bool = False
    help: str = ""
    choices: list[str] = []


class ListedCommand(msgspec.Struct, frozen=True):
    """One command."""

    name: str
    path: str
    scope: str
    help: str
    parameters: list[ListedParameter]


def listed(root: click.Group) -> bytes:
    """Return all commands as JSON."""
    return msgspec.json.encode({"commands": [_command(root, name) for name in REMOTE]})


def _command(root: click.Group, name: str) -> ListedCommand:
    remote, found = REMOTE[name], command(root, name)
    known = {each.name: each for each in found.params}
    parameters = [_parameter(known[each], kind, each == remote.needs) for each, kind in remote.kinds.items()]
    path = f"/v1/commands/{name.replace(' ', '/')}"
    return ListedCommand(name, path, remote.scope, (found.help or "").partition("\f")[0].strip(), parameters)


def _parameter(parameter: click.Parameter, kind: Kind, needed: bool) -> ListedParameter:
    choices = [str(each) for each in parameter.type.choices] if isinstance(parameter.type, click.Choice) else []
    return ListedParameter(
        name=str(parameter.name),
        type=IS.get(kind, parameter.type.name),
        required=parameter.required or needed,
        several=bool(getattr(parameter, "multiple", False)) or parameter.nargs == -1,
        help=getattr(parameter, "help", None) or "",
        choices=choices,
    )
