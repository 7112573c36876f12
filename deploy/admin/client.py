"""A command of the command line, sent to the admin API where `admin.url` names one, else run here."""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from deploy.admin.table import BACK, REMOTE, SENT, Kind, refusal
from deploy.admin.wire import OutputPiece, inside
from deploy.operator.actor import BY
from streams.files import private_opener

if TYPE_CHECKING:
    from deploy.config.admin_settings import AdminSettings

DEFAULT_FILE = Path("homeostat.toml")  # as `deploy.config.settings` has it, which takes a while to load
Given = dict[str, Any]


def through_the_admin_api(root: click.Group, path: tuple[str, ...] = ()) -> None:
    """Let each command of the table go to the admin API where `admin.url` names one. Nothing changes without."""
    for name, command in root.commands.items():
        if isinstance(command, click.Group):
            through_the_admin_api(command, (*path, name))
        elif (full := " ".join((*path, name))) in REMOTE and command.callback is not None:
            command.callback = _either(full, command.callback)


def _either(name: str, here: Any) -> Any:
    @functools.wraps(here)
    def run(**given: Any) -> Any:
        settings = _settings(given.get("config_path"))
        return _send(name, given, settings) if settings else here(**given)

    return run


def _settings(path: Path | None) -> AdminSettings | None:
    """Return where commands go; None where the configuration names no admin API, or this process was started by one.
    Of the configuration only this section is read: the rest is the server's, and a caller in a hurry waits for no more.
    Raise ConfigError for a section that is wrong; a file that cannot be read the command itself reports."""
    from deploy.config.admin_settings import AdminSection
    from deploy.config.parse import ConfigError, build, given, source

    if os.environ.get(BY):
        return None
    found = path or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    try:
        section = given(AdminSection, found).get("admin")
    except ConfigError:
        return None
    if not isinstance(section, dict) or not section.get("url"):
        return None
    return build(AdminSection, {"admin": section}, source(found)).admin


def _send(name: str, given: Given, settings: AdminSettings) -> None:
    """Send the command, print what comes, and exit with its status. Raise AdminAway, Refused, or what is wrong with the
    token."""
    from deploy.admin.call import COLUMNS, Call
    from deploy.admin.sending import BROKEN, AdminAway, pieces
    from deploy.admin.token import token

    parameters, files, back = _asked(click.get_current_context(), name, given)
    least, most = COLUMNS
    call = Call(parameters=parameters, columns=min(most, max(least, shutil.get_terminal_size().columns)))
    arriving, status = Arriving(back), None
    for piece in pieces(settings, given.get("secret") or token(settings), name, call, files):
        if piece.out or piece.err:
            click.echo(piece.out or piece.err, nl=False, err=bool(piece.err))
        if piece.file:
            arriving.take(piece)
        status = piece.exit if piece.exit is not None else status
    if status is None:
        raise AdminAway(f"{settings.url}: {BROKEN}")
    raise SystemExit(status)


def _asked(context: click.Context, name: str, given: Given) -> tuple[Any, dict[str, list[Path]], dict[str, Path]]:
    """Return the parameters of the call, the files that go with it, and where those go that come back."""
    kinds = REMOTE[name].kinds
    parameters, files, back = {}, {}, {}
    for each, value in given.items():
        source, kind = context.get_parameter_source(each), kinds.get(each)
        if kind in BACK and value is not None:
            parameters[each] = str(value)
            back[each] = Path(value)
            continue
        if value is None or value == () or source in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            continue
        if kind is None:
            _require_sendable(name, each)
            continue
        parameters[each] = _plain(value)
        if kind in SENT:
            files[each] = list(value) if isinstance(value, tuple) else [value]
            _require_there(kind, files[each])
    return parameters, files, back


def _require_sendable(name: str, parameter: str) -> None:
    if parameter not in ("config_path", "secret"):
        raise click.UsageError(f"{parameter} is not sent to the admin API: {refusal(name, parameter)}")


def _require_there(kind: Kind, paths: list[Path]) -> None:
    for path in paths:
        if not (path.is_dir() if kind is Kind.FOLDER else path.is_file()):
            raise click.UsageError(f"{path}: no such {'folder' if kind is Kind.FOLDER else 'file'}")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


@dataclass(slots=True)
class Arriving:
    """The files that come back, each written where the caller wants it and nowhere else."""

    wanted: dict[str, Path]
    begun: set[Path] = field(default_factory=set)

    def take(self, piece: OutputPiece) -> None:
        """Append to the piece's file; its first piece makes it new. Raise RuntimeError for one that was not asked
        for."""
        root = self.wanted.get(piece.file)
        if root is None or (piece.path and not inside(piece.path)):
            raise RuntimeError(f"the admin API sent a file that was not asked for: {piece.file!r}, {piece.path!r}")
        path = root / piece.path if piece.path else root
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "ab" if path in self.begun else "wb"
        self.begun.add(path)
        with open(path, mode, opener=private_opener) as file:
            file.write(piece.data)
