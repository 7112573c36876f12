"""Which texts are suspected of a secret: each that has one, and few others, for a suspect is searched whole."""

from __future__ import annotations

from itertools import product

from monitor.describe.private.credentials import Credentials
from monitor.describe.private.sketch import Sketch

NAMES = (
    *("secret", "credentials", "api_key", "API key", "access-key", "signing key", "auth token", "x_token", "token"),
    *("password", "passwd", "passphrase", "passwort", "pass", "pwd", "kennwort", "contrase\u00f1a", "senha", "parola"),
    *("mot de passe", "wachtwoord", "bearer", "basic", "authorization", "authorization: token", "https://ann", "?sig"),
    *("&signature", "?my_token", "&key", "hooks.slack.com/services/", "/webhooks/123456789012345678/"),
)
SAYS = (
    *("=", ":", " = ", ": ", " => ", " := ", '": "', "'='", "=\t", ":\n", "\x1c:\x1f", " is ", " was ", " ist "),
    *(" lautet ", " es ", " est ", " \u00e8 ", " \u00e9 ", " ", ""),
)
VALUES = (
    *("hunter2", "abcdefghijklmnopqrstu1", "1234567890abcdef", "Zm9vYmFyYmF6MTIz==", "a1/b2+c3=d4~e5.f6-g7_h8", "true"),
    *("abcdefghijklmnopqrst!1", "\u017fecretvalue123456789", "p4ss!word", "x1@host.example/", "{value}", "abcdefgh"),
)
TEXTS = [f"please use {name}{says}{value}, thanks" for name, says, value in product(NAMES, SAYS, VALUES)]


def test_no_text_with_a_secret_is_above_suspicion() -> None:
    secrets, found = Credentials(), 0
    for text in (*TEXTS, *map(str.upper, TEXTS)):
        sketch = Sketch([text])
        if any(True for _ in secrets.spans(sketch.texts[0])):
            found += 1
            assert secrets.suspects(sketch) == {0}, text
    assert found > 3_000


def test_texts_are_suspected_together_as_they_are_one_by_one() -> None:
    some = TEXTS[::7]
    alone = {i for i, text in enumerate(some) if Credentials().suspects(Sketch([text]))}
    assert Credentials().suspects(Sketch(some)) == alone


def test_what_only_speaks_of_secrets_is_not_suspected() -> None:
    texts = [
        "Where do I find the API key of my account? The key to it: your settings.",
        "She passed the token on; my password was reset, and the secret is out.",
        "See [keys](docs/operating-keys.md), dashboards/credentials.json: homeostat_tokens_passed_total is a counter.",
        '{"key": "card_arrival", "token": 12, "passed": true, "url": "https://example.org/keys?key=short"}',
    ]
    assert Credentials().suspects(Sketch(texts)) == {1}  # "password was" may be followed by one


def test_a_key_is_suspected_by_its_sign_where_it_has_room() -> None:
    texts = ["homeostat_consumer_pat", "docs_about_sk_and_AKIA", "abcdefghij1234.atlasv1." + "Zz9" * 20]
    assert Credentials().suspects(Sketch(texts)) == {2}
