"""What a call becomes: the arguments of a process, where no value is an option and no path is the server's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deploy.admin.arguments import LONGEST, arguments, command, found, require_aliases
from deploy.admin.call import Call, decoded
from deploy.admin.client import Arriving
from deploy.admin.table import REMOTE
from deploy.admin.wire import OutputPiece
from deploy.admin.workspace import Workspace
from deploy.cli import main
from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError


def made(name: str, folder: Path, /, **parameters: Any) -> tuple[list[str], Workspace]:
    files = Workspace(folder, REMOTE[name])
    return arguments(main, name, Call(parameters=parameters), files), files


def test_options_are_joined_to_their_values_and_arguments_stand_after_two_dashes(tmp_path: Path) -> None:
    given, _ = made("shadow", tmp_path, alias="support", version="support-0123456789ab")
    assert given == ["--", "support", "support-0123456789ab"]
    given, _ = made("retrain", tmp_path, alias="support", reason="--config=/etc/passwd")
    assert given == ["--reason=--config=/etc/passwd", "--", "support"]
    given, _ = made("dlq list", tmp_path, topics=["a", "b"])
    assert given == ["--topic=a", "--topic=b"]
    assert made("promote", tmp_path, alias="s", version="s-0123456789ab", drop_previous=True)[0][0] == "--drop-previous"
    assert made("status", tmp_path, people=False)[0] == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_whatever_a_value_is_click_reads_it_back_as_that_value(text: str) -> None:
    seen: dict[str, Any] = {}
    clear = click.Command(
        "clear",
        params=[click.Argument(["ids"], nargs=-1, required=True), click.Option(["--reason"], default="")],
        callback=lambda **values: seen.update(values),
    )
    root = click.Group(commands={"alarms": click.Group(commands={"clear": clear})})
    call = Call(parameters={"ids": [text, "--reason=x"], "reason": text})
    words = arguments(root, "alarms clear", call, Workspace(Path("nowhere"), REMOTE["alarms clear"]))
    assert CliRunner().invoke(clear, words).exit_code == 0
    assert seen == {"ids": (text, "--reason=x"), "reason": text}


SAMPLES = {"alias": "support", "roles": "worker", "version": "support-0123456789ab", "champion": "support-0123456789ab"}


@pytest.mark.parametrize("name", REMOTE)
def test_all_that_a_command_takes_is_what_click_takes(name: str, tmp_path: Path) -> None:
    remote, parameters, expected = REMOTE[name], {}, {}
    for each in command(main, name).params:
        known = str(each.name)
        if known not in remote.kinds or known == "recipes":
            continue
        value: Any = SAMPLES.get(known, "7" if "INT" in each.type.name.upper() else "0.5")
        if isinstance(each.type, click.Choice):
            value = str(each.type.choices[0])
        parameters[known] = True if getattr(each, "is_flag", False) else value
        expected[known] = parameters[known]
    files = Workspace(tmp_path, remote)
    words = arguments(main, name, Call(parameters=parameters), files)
    for path in (path for paths in files.sent.values() for path in paths):
        if not path.is_dir():
            path.write_text("sent")
    read = command(main, name).make_context(name, words, resilient_parsing=False).params
    for known, value in expected.items():
        got = read[known][0] if isinstance(read[known], tuple) else read[known]
        assert isinstance(got, Path) or str(got) == str(value), known


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("pause", {"alias": "--config=/etc/passwd"}, "alias is '--config=/etc/passwd', expected lower-case letters"),
    ("pause", {"alias": "../../etc"}, "alias is '../../etc'"),
    ("pause", {"config_path": "/tmp/x"}, "config_path is not taken from elsewhere: the server has its own"),
    ("pause", {"--config": "/tmp/x"}, "pause has no parameter '--config', expected some of: alias"),
    ("pause", {"debug": True}, "pause has no parameter 'debug'"),
    ("pause", {"alias": ["a", "b"]}, "alias has 2 values, expected 1 at most"),
    ("pause", {"alias": True}, "alias is True, expected text"),
    ("promote", {"alias": "support"}, "version is missing"),
    ("promote", {"alias": "support", "version": "../../secrets"}, "version is '../../secrets', expected an alias"),
    ("review accept", {"alias": "a", "id": "x", "secret": "hs"}, "secret is not taken from elsewhere"),
    ("review compare", {"alias": "a", "choice": "a"}, "pair is missing, expected it where choice is given"),
    ("review compare", {"alias": "a", "pair": "p", "choice": "c"}, "choice is 'c'"),
    ("backtest", {"url": "/etc", "policies": "p.toml"}, "url is not taken from elsewhere: it names a lake"),
    ("compare", {"alias": "a", "recipes": ["/etc/passwd"]}, "recipes is '/etc/passwd', expected one of"),
    ("compare", {"alias": "a", "candidates": "c.toml"}, "candidates is not taken from elsewhere"),
    ("alarms report", {"alarm": "0123"}, "out is missing"),
    ("alarms report", {"alarm": "0123", "opened": True}, "opened is not taken from elsewhere"),
    ("alarms clear", {"ids": []}, "ids is missing"),
    ("alarms clear", {"ids": ["a\0b"]}, "ids is 'a\\\\x00b', expected text"),
    ("alarms clear", {"ids": ["x" * (LONGEST + 1)]}, f"expected text of at most {LONGEST} characters"),
    ("alarms clear", {"ids": ["x"] * 1_001}, "ids has 1001 values, expected 1000 at most"),
    ("monitor plan", {"events": "many"}, "events is 'many'"),
    ("status", {"people": "yes"}, "people is 'yes', expected true or false"),
]


@pytest.mark.parametrize(("name", "parameters", "expected"), HOSTILE)
def test_a_hostile_call_is_refused_with_its_reason(
    name: str, parameters: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ApiError) as refused:
        made(name, tmp_path, **parameters)
    assert refused.value.status == 400
    assert expected.replace("\\\\", "\\") in refused.value.message


@pytest.mark.parametrize(("name", "why"), [("up", "starts processes"), ("rm -rf", "no command"), ("", "no command")])
def test_a_command_that_is_not_taken_is_named_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(ApiError, match=why) as refused:
        found(name)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"argv": ["--config"]}', b'{"parameters": {"a": {"b": 1}}}', b'{"columns": 1}', b"\xff"],
)
def test_a_body_that_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decoded(body)
    assert refused.value.status == 400


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ApiError, msgspec.DecodeError)):
        made("alarms clear", tmp_path, ids=["\ud800"])


def test_files_have_places_of_the_servers_own_and_the_callers_names(tmp_path: Path) -> None:
    given, files = made("labels give", tmp_path, alias="support", file="/home/ann/../x/labels.jsonl")
    path = Path(given[-1])
    assert path == tmp_path / "0" / "labels.jsonl"
    assert files.as_known(f"{path}: line 3") == "/home/ann/../x/labels.jsonl: line 3"
    for odd in ("/etc/..", "..", "/", "", "a b;rm", "\\\\host\\share\\.ssh"):
        folder = tmp_path / f"odd{abs(hash(odd))}"
        folder.mkdir()
        assert Path(made("labels give", folder, alias="a", file=odd)[0][-1]) == folder / "0" / "file"


def test_a_part_that_the_call_does_not_name_has_no_place(tmp_path: Path) -> None:
    _, files = made("adopt", tmp_path, folder="adapter", alias="support")
    with pytest.raises(ApiError, match="folder is missing"):
        files.complete()
    for name, filename in (("rows", "x"), ("alias", "x"), ("folder", "../x"), ("folder", "/etc/x"), ("folder", "")):
        with pytest.raises(ApiError, match="part"):
            files.arriving(name, filename)
    files.arriving("folder", "adapter_config.json").write_text("{}")
    with pytest.raises(ApiError, match="comes twice"):
        files.arriving("folder", "adapter_config.json")
    files.complete()


def test_a_link_among_what_comes_back_is_left_out(tmp_path: Path) -> None:
    given, files = made("backtest", tmp_path, policies=["p.toml"])
    out = Path(next(each for each in given if each.startswith("--out=")).removeprefix("--out="))
    assert tmp_path in out.parents, "the default would be a folder of the server"
    out.mkdir()
    (out / "page.html").write_text("page")
    (out / "link").symlink_to("/etc/passwd")
    assert [(each.path, each.data) for each in files.pieces()] == [("page.html", b"page")]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ".ssh/config"])
def test_a_server_cannot_write_elsewhere_on_the_callers_machine(path: str, tmp_path: Path) -> None:
    arriving = Arriving({"out": tmp_path / "out"})
    with pytest.raises(RuntimeError, match="not asked for"):
        arriving.take(OutputPiece(file="out", path=path, data=b"x"))
    with pytest.raises(RuntimeError, match="not asked for"):
        arriving.take(OutputPiece(file="other", data=b"x"))
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_some_aliases_acts_on_those_alone() -> None:
    ann = Key("ann", "00", frozenset({"admin"}), aliases=("support",))
    require_aliases(ann, "pause", Call(parameters={"alias": "support"}))
    require_aliases(ann, "review approve", Call(parameters={"version": "support-0123456789ab"}))
    require_aliases(Key("root", "00"), "pause", Call())
    refused: list[tuple[str, dict[str, Any]]] = [
        ("pause", {}),
        ("pause", {"alias": "billing"}),
        ("forget", {"client": "app", "yes": True}),
        ("review approve", {"version": "billing-0123456789ab"}),
        ("alarms accept", {"alias": "support", "version": "billing-0123456789ab"}),
        ("promote", {"alias": "support", "version": ["billing-0123456789ab"]}),
        ("pause", {"alias": ["billing"]}),
        ("pause", {"alias": ["support", "billing"]}),
        ("pause", {"alias": []}),
    ]
    for name, parameters in refused:
        with pytest.raises(ApiError) as error:
            require_aliases(ann, name, Call(parameters=parameters))
        assert (error.value.status, error.value.code) == (403, "alias_not_allowed")
