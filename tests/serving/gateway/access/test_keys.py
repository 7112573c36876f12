"""API keys: who may call."""

from __future__ import annotations

from dataclasses import replace
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
    bound = Key(
        "b",
        digest("y"),
        tags={"x": "z", "tenant": "acme"},
        tenants=("acme",),
        aliases=("support", "sales"),
        revoked=True,
    )
    several = Key("c", digest("z"), tenants=("acme", "b"))
    assert read(keys(tmp_path / "keys.toml", made, bound, several)) == [made, bound, several]


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


def test_a_key_that_is_revoked_or_taken_out_is_refused_within_seconds(tmp_path: Path) -> None:
    clock, app, other = ManualClock(), Key.of("app", "s"), Key.of("other", "o")
    path = keys(tmp_path / "keys.toml", app, other)
    ring = KeyRing(path=path, clock=clock)
    ring.authorise("Bearer s", "infer")
    keys(path, replace(app, revoked=True), other)
    clock.now += 1.0
    with pytest.raises(ApiError) as revoked:
        ring.authorise("Bearer s", "infer")
    assert (revoked.value.status, revoked.value.code, revoked.value.by) == (401, "revoked_api_key", "app")
    assert revoked.value.message == "the API key app is revoked"
    keys(path, other)
    clock.now += 1.0
    with pytest.raises(ApiError) as gone:
        ring.authorise("Bearer s", "infer")
    assert gone.value.code == "invalid_api_key"


def test_two_keys_of_one_person_are_one_reviewer() -> None:
    laptop, phone = (Key(name, "0" * 64, frozenset({"review"}), user="sales/ann") for name in ("laptop", "phone"))
    assert laptop.reviewer == phone.reviewer == "sales%2Fann"
    assert Key("bob", "0" * 64).reviewer == "bob"


def test_two_keys_of_one_person_are_one_person() -> None:
    one, other = (replace(Key.of(name, name, ["approve"]), user="ann") for name in ("laptop", "phone"))
    assert one.person == other.person == "ann"
    assert Key.of("app", "s").person == "app"


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
        (f"[app]\nsha256 = '{'0' * 64}'\naliases = 'support'", "aliases is 'support', expected a list of texts"),
        (f"[app]\nsha256 = '{'0' * 64}'\naliases = []", r"aliases is \[\], expected a list of texts"),
        (f"[app]\nsha256 = '{'0' * 64}'\ntenants = ['']", "tenants is .* expected a list of texts"),
        (f"[app]\nsha256 = '{'0' * 64}'\nrevoked = 'yes'", "revoked is 'yes', expected true or false"),
        (
            f"[app]\nsha256 = '{'0' * 64}'\ntenants = ['a']\ntags = {{tenant = 'b'}}",
            r"tags has a tenant and tenants is \['a'\], expected one of both",
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
