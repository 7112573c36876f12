"""The arguments of a command's process, from a call: checked against click's own parameters, each a value by its name.

An option's value is joined to its name (`--reason=...`) and arguments come after `--`, so that none is read as an
option, whatever it begins with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from deploy.admin.call import Call, Value
from deploy.admin.table import BACK, LOCAL, REMOTE, SENT, Kind, Remote, refusal
from deploy.admin.workspace import Workspace
from retrain.training.recipe import FORMER, RECIPES
from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError, cut
from streams.identity import ALIAS, VERSION

LONGEST = 30_000  # characters of one value: the system takes 128 KiB for one argument
MOST_VALUES = 1_000
VERSIONS = ("version", "champion")  # parameters that name one


def found(name: str) -> Remote:
    """Return the command's entry. Raise ApiError for one that does not run here, with the reason."""
    if name in REMOTE:
        return REMOTE[name]
    if name in LOCAL:
        raise ApiError(404, f"{name} is not taken from elsewhere: {LOCAL[name]}", code="local_command")
    message = f"no command is named {cut(name)!r}; GET /v1/commands lists those that are taken"
    raise ApiError(404, message, code="unknown_command")


def command(root: click.Group, name: str) -> click.Command:
    """Return click's command of that name."""
    found: click.Command = root
    for part in name.split():
        assert isinstance(found, click.Group)
        found = found.commands[part]
    return found


def require_aliases(key: Key, name: str, call: Call) -> None:
    """Raise ApiError 403 where the caller's key is bound to aliases, and the command is about others or about all."""
    if not key.aliases:
        return
    versions = [VERSION.fullmatch(each) for name in VERSIONS for each in _texts(call, name)]
    about = [matched["alias"] for matched in versions if matched] + _texts(call, "alias")
    if not about:
        message = f"{key.called} is for {', '.join(key.aliases)}, and {name} would be about every alias"
        raise ApiError(403, message, code="alias_not_allowed", by=key.person)
    for alias in about:
        key.require_alias(alias)


def _texts(call: Call, name: str) -> list[str]:
    given = call.parameters.get(name, [])
    return [str(each) for each in (given if isinstance(given, list) else [given])]


def arguments(root: click.Group, name: str, call: Call, files: Workspace) -> list[str]:
    """Return the arguments after the command's name; the files of the call get their places in the workspace. Raise
    ApiError naming parameter, value and what was expected."""
    remote, parameters = REMOTE[name], {each.name: each for each in command(root, name).params}
    for given in call.parameters:
        _require_taken(name, remote, given)
    options: list[str] = []
    places: list[str] = []
    missing = ""
    for parameter in parameters.values():
        known = str(parameter.name)
        if known not in remote.kinds:
            continue
        values = list(_values(remote.kinds[known], parameter, call.parameters.get(known), files, known == remote.needs))
        if isinstance(parameter, click.Option):
            options += _option(parameter, values)
        elif not values:
            missing = missing or known
        elif missing:
            raise ApiError(400, f"{missing} is missing, expected it where {known} is given", missing)
        else:
            places += [str(value) for value in values]
    return [*options, *(["--", *places] if places else [])]


def _require_taken(name: str, remote: Remote, given: str) -> None:
    if given in remote.kinds:
        return
    if why := refusal(name, given):
        raise ApiError(400, f"{name}: {given} is not taken from elsewhere: {why}", given, "not_taken")
    expected = ", ".join(remote.kinds) or "none"
    raise ApiError(400, f"{name} has no parameter {cut(given)!r}, expected some of: {expected}", cut(given))


def _values(
    kind: Kind, parameter: click.Parameter, given: Value | list[Value] | None, files: Workspace, needed: bool
) -> Iterator[Value]:
    """Yield the values of a parameter. What comes back has a place where the command would choose one by itself."""
    name = str(parameter.name)
    if given is None or given == []:
        if parameter.required or needed:
            raise ApiError(400, f"{name} is missing, expected {_expected(parameter)}", name)
        if kind in BACK and isinstance(parameter.default, str | Path):
            yield str(files.place(name, name))
        return
    several = getattr(parameter, "multiple", False) or parameter.nargs == -1
    values = given if isinstance(given, list) else [given]
    if (len(values) > 1 and not several) or len(values) > MOST_VALUES:
        raise ApiError(400, f"{name} has {len(values)} values, expected {MOST_VALUES if several else 1} at most", name)
    for value in values:
        yield str(files.place(name, _text(name, value))) if kind in (*SENT, *BACK) else _checked(parameter, value)


def _checked(parameter: click.Parameter, value: Value) -> Value:
    """Return a value that is one of the parameter's. Raise ApiError."""
    name = str(parameter.name)
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise ApiError(400, f"{name} is {cut(repr(value))}, expected true or false", name)
        return value
    text = _text(name, value)
    if form := _FORMS.get(name):
        form(name, text)
    try:
        parameter.type.convert(text, parameter, None)
    except click.UsageError as error:
        raise ApiError(400, f"{name} is {cut(repr(text))}: {error.message}", name) from error
    return text


def _option(option: click.Option, values: list[Value]) -> Iterator[str]:
    name = max(option.opts, key=len)
    for value in values:
        if value is True:
            yield name
        elif value is not False:
            yield f"{name}={value}"


def _text(name: str, value: Value) -> str:
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"{name} has half a character, expected text", name) from error
    if isinstance(value, bool) or "\0" in text or len(text) > LONGEST:
        raise ApiError(400, f"{name} is {cut(repr(value))}, expected text of at most {LONGEST} characters", name)
    return text


def _alias(name: str, text: str) -> None:
    if not ALIAS.fullmatch(text):
        raise ApiError(400, f"{name} is {cut(repr(text))}, expected lower-case letters, digits, '-' and '_'", name)


def _version(name: str, text: str) -> None:
    if not VERSION.fullmatch(text):
        message = f"{name} is {cut(repr(text))}, expected an alias and twelve digits, as support-0123456789ab"
        raise ApiError(400, message, name)


def _recipe(name: str, text: str) -> None:
    """A recipe by its name alone: any other text is a path of the server."""
    known = sorted(path.stem for path in RECIPES.glob("*.toml"))
    if text not in {*known, *FORMER}:
        raise ApiError(400, f"{name} is {cut(repr(text))}, expected one of {', '.join(known)}", name)


_FORMS: Mapping[str, Any] = {"alias": _alias, "version": _version, "champion": _version, "recipes": _recipe}


def _expected(parameter: click.Parameter) -> str:
    return getattr(parameter, "help", None) or f"a value ({parameter.type.name})"
