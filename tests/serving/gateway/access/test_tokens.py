"""People by their tokens: what counts, what does not, and what happens while the issuer is away."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from serving.access_settings import OidcSettings
from serving.gateway.access.issuer_keys import AGAIN_S, IssuerKeys, whole
from serving.gateway.access.key_sets import IssuerAway
from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.access.tokens import Tokens
from serving.gateway.errors import ApiError
from tests.serving.support.clock import ManualClock
from tests.serving.support.issuer import MADE, Issuer, public


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    running.keys, running.status, running.body = [public("RS256", "rsa")], 200, b""
    running.asked.clear()
    return running


class Door:
    """A ring of keys that knows the issuer's people; its keys are read when the test says so."""

    def __init__(self, settings: OidcSettings, *keys: Key) -> None:
        self.clock, self.later_s = ManualClock(), 0.0
        self.keys = IssuerKeys(settings, clock=self.clock)
        self.tokens = Tokens(settings, self.keys, lambda: time.time() + self.later_s)
        self.ring = KeyRing(keys, tokens=self.tokens)

    def asks(self, token: str, scope: str = "admin") -> Key:
        return self.ring.authorise(f"Bearer {token}", scope)

    def answer(self, token: str) -> str:
        try:
            return self.asks(token).id
        except ApiError as error:
            return str(error.code)

    def refused(self, token: str, scope: str = "admin") -> ApiError:
        with pytest.raises(ApiError) as error:
            self.asks(token, scope)
        return error.value


def door(issuer: Issuer, *keys: Key, **changes: Any) -> Door:
    made = Door(issuer.settings(**changes), *keys)
    made.keys.read()
    return made


def test_a_person_has_the_scopes_of_all_their_groups(issuer: Issuer) -> None:
    ann = door(issuer).asks(issuer.token(groups=["platform", "support", "chess"], azp="console"))
    assert (ann.id, ann.person, ann.user, ann.named) == ("ann", "ann", "ann", "oidc:console")
    assert ann.scopes == {"admin", "approve", "infer", "feedback"}
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize("algorithm", sorted(MADE))
def test_each_kind_of_signature_that_is_allowed_counts(issuer: Issuer, algorithm: str) -> None:
    issuer.keys = [public(each, each, alg=each) for each in MADE]
    token = issuer.token(algorithm, algorithm)
    assert door(issuer, algorithms=(algorithm,)).asks(token).id == "ann"
    others = tuple(each for each in MADE if each != algorithm)
    assert "expected" in door(issuer, algorithms=others).refused(token).message


def unsigned(issuer: Issuer) -> str:
    return jwt.encode({"iss": issuer.url, "aud": "homeostat", "sub": "eve", "exp": time.time() + 60}, "", "none")


def by_the_public_key(issuer: Issuer) -> str:
    """The old trick: a public RSA key taken for the secret of an HMAC."""
    parts = [{"alg": "HS256", "kid": "rsa"}, {"iss": issuer.url, "aud": "homeostat", "sub": "eve", "exp": 2e9}]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts)
    return f"{text}.{base64.urlsafe_b64encode(b'0' * 32).decode().rstrip('=')}"


def altered(issuer: Issuer) -> str:
    head, body, mac = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    more = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "eve"}).encode()).rstrip(b"=").decode()
    return f"{head}.{more}.{mac}"


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (unsigned, "expected RS256 or ES256"),
        (by_the_public_key, "expected RS256 or ES256"),
        (altered, "Signature verification failed"),
        (lambda issuer: issuer.token(key=MADE["PS256"]), "Signature verification failed"),
        (lambda issuer: issuer.token("rsa", "ES256"), "the issuer has none like it"),
        (lambda issuer: issuer.token(iss="https://elsewhere"), "Invalid issuer"),
        (lambda issuer: issuer.token(aud="another"), "Audience doesn't match"),
        (lambda issuer: issuer.token(aud=None), 'missing the "aud" claim'),
        (lambda issuer: issuer.token(exp=None), 'missing the "exp" claim'),
        (lambda issuer: issuer.token(exp=time.time() - 100), "it expired "),
        (lambda issuer: issuer.token(exp=1e400), "not"),
        (lambda issuer: issuer.token(exp=True), "exp is no time"),
        (lambda issuer: issuer.token(exp=10**400), "exp is no time"),
        (lambda issuer: issuer.token(nbf="soon"), "nbf"),
        (lambda issuer: issuer.token(sub=""), "its claim sub names no person"),
        (lambda issuer: issuer.token(nbf=time.time() + 100), "it counts in"),
        (lambda issuer: issuer.token(iat=time.time() + 100), "it counts in"),
        (lambda issuer: issuer.token(sub=None), "its claim sub names no person"),
        (lambda issuer: issuer.token(sub=7), "its claim sub names no person"),
        (lambda issuer: issuer.token(sub="a\nb"), "its claim sub names no person"),
        (lambda issuer: issuer.token(sub="a" * 257), "has 257 characters"),
        (lambda issuer: "eyJ.eyJ.x", "the token is not taken"),
        (lambda issuer: "eyJhbGciOiJSUzI1NiJ9.e30.", "the token is not taken"),
    ],
)
def test_what_is_no_good_token_is_a_401_that_says_why(
    issuer: Issuer, make: Callable[[Issuer], str], shown: str
) -> None:
    error = door(issuer).refused(make(issuer))
    assert error.status == 401, error.message
    assert shown in error.message
    assert error.code in ("invalid_token", "token_expired", "unknown_key")


def test_clocks_may_differ_by_the_leeway(issuer: Issuer) -> None:
    entry = door(issuer, leeway_s=30.0)
    assert entry.asks(issuer.token(exp=time.time() - 20, nbf=time.time() + 20)).id == "ann"
    assert entry.refused(issuer.token(exp=time.time() - 40)).code == "token_expired"


def test_a_group_without_a_scope_is_a_403_that_names_it(issuer: Issuer) -> None:
    entry = door(issuer)
    error = entry.refused(issuer.token(groups=["interns"]))
    assert (error.status, error.code, error.by) == (403, "no_scope", "ann")
    assert "ann: the token has groups interns, expected a group to which oidc.groups gives a scope" in error.message
    assert "no claim groups" in entry.refused(issuer.token(groups=None)).message
    lacking = entry.refused(issuer.token(groups=["support"]))
    assert (lacking.status, lacking.message) == (403, "ann, by the token, lacks the scope admin")


def test_groups_and_person_stand_where_the_settings_say(issuer: Issuer) -> None:
    nested = door(issuer, groups_claim="realm.roles", person_claim="email")
    good: dict[str, Any] = {"groups": None, "realm": {"roles": "platform"}, "email": "ann@example.com"}
    assert nested.asks(issuer.token(**good)).person == "ann@example.com"
    assert "not verified" in nested.refused(issuer.token(**good, email_verified=False)).message
    named = door(issuer, groups_claim="https://example.com/groups")
    claims: dict[str, Any] = {"https://example.com/groups": ["platform"]}
    assert named.asks(issuer.token(**claims)).id == "ann"


def test_a_person_whose_name_has_a_slash_stays_one_part_of_a_senders_name(issuer: Issuer) -> None:
    entry = door(issuer)
    ids = {entry.asks(issuer.token(sub=name)).id for name in ("a/b", "a%2Fb")}
    assert ids == {"a%2Fb", "a%252Fb"}


def test_an_api_key_goes_on_as_it_was(issuer: Issuer) -> None:
    entry = door(issuer, Key.of("ops", "hs_secret", ["admin"]))
    assert "and it is no JSON Web Token: opaque tokens are not taken" in entry.refused("ya29.opaque").message
    assert entry.asks("hs_secret").id == "ops"
    assert entry.refused("hs_other").code == "invalid_api_key"
    assert entry.refused("a.b.c").code == "invalid_api_key"


def test_who_signs_with_a_key_is_a_person_that_a_token_may_name_too(issuer: Issuer) -> None:
    ann, ops = Key.of("ann-key", "hs_a", ["approve"]), Key.of("ops", "hs_o", ["approve"])
    entry = door(issuer, Key("ann-key", ann.sha256, ann.scopes, user="ann"), ops)
    assert entry.asks("hs_a", "approve").person == entry.asks(issuer.token(), "approve").person == "ann"
    assert entry.refused("hs_o", "approve").code == "no_person"


def test_a_token_that_was_seen_costs_no_signature_until_it_expires(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, token = door(issuer), issuer.token()
    first = entry.asks(token)
    monkeypatch.setattr("serving.gateway.access.tokens.jwt.decode", None)
    assert entry.asks(token) is first
    took = list[float]()
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(100):
            entry.asks(token)
        took.append((time.perf_counter() - began) / 100)
    assert min(took) < 50e-6, "1.5 us measured; a signature takes some hundreds"
    monkeypatch.undo()
    entry.later_s += 400
    assert entry.refused(token).code == "token_expired"


def test_a_key_that_is_new_is_asked_for_and_one_that_is_gone_no_longer_counts(issuer: Issuer) -> None:
    entry, old = door(issuer), issuer.token()
    assert entry.asks(old).id == "ann"
    entry.clock.now += AGAIN_S
    issuer.keys = [public("ES256", "new")]
    new = issuer.token("new", "ES256")
    waiting = entry.refused(new)
    assert (waiting.status, waiting.code, waiting.headers["retry-after"]) == (503, "issuer_keys_away", "1")
    entry.keys.read()
    assert entry.asks(new).id == "ann"
    assert entry.refused(old).code == "unknown_key"


def test_the_only_key_that_fits_counts_for_a_token_that_names_none(issuer: Issuer) -> None:
    issuer.keys = [public("RS256", "rsa"), public("ES256", "ec")]
    entry = door(issuer)
    assert entry.asks(issuer.token(None)).id == "ann"
    issuer.keys.append(public("RS256", "other", MADE["PS256"]))
    entry.keys.read()
    assert entry.refused(issuer.token(None)).code == "unknown_key"


@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (500, b"", "500"),
        (302, b"", "sends on to"),
        (200, b"<html>", "is not JSON"),
        (200, b"[]", "expected a JSON object"),
        (200, b'{"issuer": "https://other"}', "of the issuer 'https://other'"),
        (200, b"x" * 1_100_000, "more than 1048576 bytes"),
    ],
)
def test_while_the_issuer_is_away_known_keys_go_on(issuer: Issuer, status: int, body: bytes, shown: str) -> None:
    entry = door(issuer)
    issuer.status, issuer.body = status, body
    with pytest.raises(IssuerAway, match=shown):
        entry.keys.read()
    entry.clock.now += 1e6
    assert entry.asks(issuer.token(sub="bob")).id == "bob"
    assert entry.refused(issuer.token("other")).status == 503


def test_keys_are_kept_over_a_restart_while_the_issuer_is_away_for_so_long(issuer: Issuer, tmp_path: Path) -> None:
    settings, kept, now = issuer.settings(keep_s=3_600.0), tmp_path / "issuer" / "gateway.json", 1e9
    IssuerKeys(settings, kept, now=lambda: now).read()
    assert kept.stat().st_mode & 0o77 == 0
    assert '"d"' not in kept.read_text()

    def begun(at: float, **changes: Any) -> str:
        keys = IssuerKeys(issuer.settings(keep_s=3_600.0, **changes), kept, now=lambda: at)
        try:
            return str(keys.find("rsa", "RS256").key_id)
        except ApiError as error:
            return str(error.code)

    assert begun(now + 3_500) == "rsa"
    assert begun(now + 3_700) == "issuer_keys_away", "a key that the issuer took out long ago may not come back"
    assert begun(now - 100) == "issuer_keys_away", "by a clock that was set back they would count for longer"
    assert begun(now + 1, jwks="https://elsewhere.example/keys") == "issuer_keys_away"
    kept.write_bytes(b"{")
    assert begun(now + 1) == "issuer_keys_away"


@pytest.mark.slow
def test_an_issuer_that_is_away_for_longer_than_that_lets_nobody_in(issuer: Issuer) -> None:
    entry = Door(issuer.settings(keep_s=3_600.0))
    entry.keys.start()
    try:
        assert entry.keys.wait(90)
        token = issuer.token()
        assert entry.asks(token).id == "ann"
        issuer.status = 500
        entry.clock.now += 3_700
        assert entry.refused(issuer.token("new")).status == 503, "which has the keys read at once"
        until(lambda: entry.answer(token) == "issuer_keys_away")  # also who was seen before
    finally:
        entry.keys.close()


def test_a_set_that_has_a_key_twice_has_it_once_and_two_keys_of_one_name_are_none(issuer: Issuer) -> None:
    issuer.keys = [public("RS256", "rsa"), public("RS256", "rsa"), public("ES256", "rsa")]
    entry = door(issuer)
    assert [entry.asks(issuer.token("rsa", algorithm)).id for algorithm in ("RS256", "ES256")] == ["ann", "ann"]
    issuer.keys = [public("RS256", "rsa"), public("RS256", "rsa", MADE["PS256"])]
    entry.keys.read()
    assert "names the key 'rsa', and the issuer has several like it" in entry.refused(issuer.token()).message


def test_an_issuer_that_drips_is_away(issuer: Issuer) -> None:
    clock, pieces = ManualClock(), [b'{"keys": [', *[b" "] * 1_000]

    def read(_: int) -> bytes:
        clock.now += 1
        return pieces.pop(0)

    with pytest.raises(IssuerAway, match="not all there after 15 s"):
        whole("https://issuer", read, clock)


@pytest.mark.parametrize("keys", [[], [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}], [{"kty": "RSA", "n": 1}], ["x"]])
def test_a_set_without_a_public_key_is_not_taken(issuer: Issuer, keys: list[Any]) -> None:
    entry = door(issuer)
    issuer.keys = keys
    with pytest.raises(IssuerAway, match="no key of a kind that is taken"):
        entry.keys.read()
    assert entry.asks(issuer.token()).id == "ann"


def test_keys_for_something_else_than_signatures_do_not_count(issuer: Issuer) -> None:
    issuer.keys = [public("RS256", "rsa", use="enc"), public("ES256", "ec")]
    assert door(issuer).refused(issuer.token()).code == "unknown_key"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_the_thread_reads_a_file_again_when_it_changes(issuer: Issuer, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public("RS256", "rsa")]}))
    entry = Door(issuer.settings(jwks=str(path)))
    entry.keys.start()
    assert entry.keys.wait(20)
    assert entry.asks(issuer.token()).id == "ann"
    path.write_text(json.dumps({"keys": [public("ES256", "new"), public("RS256", "rsa")]}))
    until(lambda: entry.keys._known is not None and len(entry.keys._known.keys) == 2)
    assert entry.asks(issuer.token("new", "ES256", sub="bob")).id == "bob"
    entry.keys.close()
    assert issuer.asked == []


@pytest.mark.slow
def test_the_thread_reads_at_once_what_a_token_names(issuer: Issuer) -> None:
    entry = Door(issuer.settings(jwks=f"{issuer.url}/keys"))
    assert entry.refused(issuer.token()).status == 503, "nothing is read yet"
    entry.keys.start()
    assert entry.keys.wait(20)
    issuer.keys = [*issuer.keys, public("ES256", "new")]
    entry.clock.now += AGAIN_S
    assert entry.refused(issuer.token("new", "ES256")).status == 503
    until(lambda: entry.keys._known is not None and len(entry.keys._known.keys) == 2)
    assert entry.asks(issuer.token("new", "ES256")).id == "ann"
    entry.keys.close()


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"issuer": "http://idp.example"}, "issuer is 'http://idp.example', expected an https address"),
        ({"audience": ""}, "audience is ''"),
        ({"groups": {}}, "groups is {}, expected a table of groups"),
        ({"groups": {"interns": ()}}, "for interns some of infer"),
        ({"groups": {"interns": ("root",)}}, "for interns some of infer"),
        ({"jwks": "http://idp.example/keys"}, "jwks is .* expected an https address"),
        ({"algorithms": ("HS256",)}, "algorithms is .* expected some of RS256"),
        ({"algorithms": ()}, "algorithms is"),
        ({"groups_claim": " "}, "groups_claim is ' '"),
        ({"leeway_s": 301.0}, "leeway_s is 301.0"),
        ({"refresh_s": 0.0}, "refresh_s is 0.0"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(issuer: Issuer, changes: dict[str, Any], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        issuer.settings(**changes)
