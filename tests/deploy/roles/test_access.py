"""Who may ask: the key that an installation makes for itself, keys of a file, and people of an issuer."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.roles.access import key_ring
from deploy.stack.settings import StackSettings
from serving.gateway.access.keys import Key, entry
from serving.gateway.errors import ApiError
from serving.settings import GatewaySettings
from tests.serving.support.issuer import Issuer


def config(var: Path, *, embedded: bool, default_key: bool | None = None, keys_file: Path | None = None) -> Config:
    stack = StackSettings(var=var, embedded_kafka=embedded)
    return Config(stack=stack, gateway=GatewaySettings(default_key=default_key, keys_file=keys_file))


@pytest.mark.parametrize(
    ("embedded", "asked", "taken"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, True)],
)
def test_the_key_that_is_made_is_taken_where_the_stack_is_embedded(
    tmp_path: Path, embedded: bool, asked: bool | None, taken: bool
) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(entry(Key.of("app", "hs_app")))
    made = config(tmp_path, embedded=embedded, default_key=asked, keys_file=file)
    secret = secrets.api_key(made)
    with key_ring(made, "gateway", ()) as keys:
        assert keys.authorise("Bearer hs_app", "infer").id == "app"
        if taken:
            assert keys.authorise(f"Bearer {secret}", "infer").id == "default"
        else:
            with pytest.raises(ApiError, match="not known"):
                keys.authorise(f"Bearer {secret}", "infer")


def test_where_nobody_may_ask_the_error_says_what_to_set(tmp_path: Path) -> None:
    expected = r"nobody may ask: expected gateway.keys_file .* gateway.default_key = true"
    with pytest.raises(ValueError, match=expected), key_ring(config(tmp_path, embedded=False), "g", ()):
        pass
    assert not (tmp_path / "secrets").exists(), "no key is made that nobody asked for"


def test_who_is_refused_while_the_keys_are_open_learns_why(tmp_path: Path) -> None:
    """An exception that cannot be changed loses itself in a context manager, which sets its traceback."""
    made = config(tmp_path, embedded=True)
    with pytest.raises(ApiError, match="not known"), key_ring(made, "gateway", ()) as keys:
        keys.authorise("Bearer nobody", "infer")
    revoked = {Key.of("default", secrets.api_key(made)).sha256}
    with pytest.raises(ApiError, match="key default is revoked"), key_ring(made, "gateway", revoked) as keys:
        keys.authorise(f"Bearer {secrets.api_key(made)}", "infer")


def test_people_come_by_their_tokens_and_an_issuer_that_is_away_keeps_no_key_out(tmp_path: Path) -> None:
    made = config(tmp_path, embedded=True)
    secret = secrets.api_key(made)
    with Issuer() as issuer:
        with key_ring(_with(made, issuer), "gateway", ()) as keys:
            assert keys.authorise(f"Bearer {issuer.token()}", "admin").person == "ann"
        issuer.status = 500
        with key_ring(_with(made, issuer), "gateway", ()) as keys:
            assert keys.authorise(f"Bearer {issuer.token(sub='bob')}", "admin").person == "bob", (
                "keys of before the start"
            )
        with key_ring(_with(made, issuer), "gateway-2", ()) as keys:
            assert keys.authorise(f"Bearer {secret}", "infer").id == "default"
            with pytest.raises(ApiError, match="are being read"):
                keys.authorise(f"Bearer {issuer.token()}", "admin")


def _with(made: Config, issuer: Issuer) -> Config:
    return Config(stack=made.stack, gateway=made.gateway, oidc=issuer.settings())
