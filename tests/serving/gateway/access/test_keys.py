"""API keys: who may call."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.describe.pii import found
from serving.gateway.access.keys import Key, KeyRing, KeysError, digest, entry, new_secret, read
from serving.gateway.errors import ApiError
from tests.serving.support.clock import ManualClock


def keys(path: Path, *made: Key) -> Path:
    path.write_text("\n".join(entry(key) for key in made))
    return path


def test_a_key_is_known_by_its_digest_only(tmp_path: Path) -> None:
    path = keys(tmp_path / "keys.toml", Key.of("app", "hunter2"))
    assert "hunter2" not in path.read_text()
    assert KeyRing(path=path).authorise("Bearer hunter2", "infer").id == "app"


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    made = Key("app", digest("x"), frozenset({"infer"}), 60, 2, 8, "ann", {"tenant": 'a "b"', "x.y": "z"})
    assert read(keys(tmp_path / "keys.toml", made)) == [made]


def test_a_new_key_has_our_prefix_and_is_found_in_texts() -> None:
    secret = new_secret()
    assert secret.startswith("hs_")
    assert found([f"my key is {secret}"]) == [True]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic hunter2", "hunter2"])
def test_no_key_is_a_401(header: str) -> None:
    with pytest.raises(ApiError) as refused:
        KeyRing([Key.of("app", "hunter2")]).authorise(header, "infer")
    assert (refused.value.status, refused.value.code) == (401, "missing_api_key")


def test_a_key_without_the_scope_is_a_403() -> None:
    with pytest.raises(ApiError) as refused:
        KeyRing([Key.of("app", "hunter2", ["feedback"])]).authorise("Bearer hunter2", "infer")
    assert refused.value.status == 403


def test_a_changed_file_counts_without_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    path = keys(tmp_path / "keys.toml", Key.of("app", "old"))
    ring = KeyRing(path=path, clock=clock)
    keys(path, Key.of("app", "new key"))
    clock.now = 2.0
    assert ring.authorise("Bearer new key", "infer").id == "app"
    with pytest.raises(ApiError):
        ring.authorise("Bearer old", "infer")
    path.write_text("[broken")
    clock.now = 4.0
    assert ring.authorise("Bearer new key", "infer").id == "app"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[app", "not TOML"),
        ("app = 1", r"\[app\]: no table"),
        (f"['app/ann']\nsha256 = '{'0' * 64}'", "the key's id contains '/'"),
        ("[app]\nsha256 = 'x'", "64 hexadecimal digits"),
        (
            f"[app]\nsha256 = '{'0' * 64}'\nscopes = ['root']",
            "expected a list of infer, feedback, review, downstream, admin, approve",
        ),
        (f"[app]\nsha256 = '{'0' * 64}'\nsecret = 'x'", "unknown secret"),
        (f"[app]\nsha256 = '{'0' * 64}'\ntags = 'acme'", "tags is 'acme', expected a table of texts"),
        (f"[app]\nsha256 = '{'0' * 64}'\ntags = {{tenant = 7}}", "tags is .*expected a table of texts"),
        (f"[app]\nsha256 = '{'0' * 64}'\ntags = {{tenant = ' '}}", "tags is .*expected a table of texts"),
        (f"[app]\nsha256 = '{'0' * 64}'\nuser = 7", "user is 7, expected a person's name"),
        (f"[app]\nsha256 = '{'0' * 64}'\nmax_answers = 0", "max_answers is 0, expected a whole number from 1"),
        (
            "".join(f"[{k}]\nsha256 = '{k * 64}'\nscopes = ['approve']\nuser = 'ann'\n" for k in "ab"),
            r"\[b\]: user is that of \[a\] too, expected one approve key a person",
        ),
        (
            f"[a]\nsha256 = '{'0' * 64}'\n[b]\nsha256 = '{'0' * 64}'\nscopes = ['admin']",
            r"\[b\]: sha256 is that of \[a\]",
        ),
        (f"['']\nsha256 = '{'0' * 64}'", "the key's id is '', expected printable text"),
        (f'["a\\nb"]\nsha256 = "{"0" * 64}"', "the key's id is 'a.nb', expected printable text"),
        (f"[app]\nsha256 = '{'0' * 64}'\nmax_in_flight = {10**400}", r"from 1 on, up to 1000000000"),
        (f"[app]\nsha256 = '{'0' * 64}'\nmax_in_flight = 0", "max_in_flight is 0, expected a whole number from 1"),
    ],
)
def test_a_wrong_file_is_named_by_key(tmp_path: Path, text: str, shown: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeysError, match=shown):
        read(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"none\.toml: cannot be read"):
        read(tmp_path / "none.toml")
