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
WORDS = (  # that came later, and what stands behind them
    *(
        "palavra-passe",
        "la clave",
        "has\u0142o",
        "haslem",
        "hesla",
        "\u015fifrem",
        "sifre",
        "l\u00f6senord",
        "losenordet",
    ),
    *("salasana", "adgangskode", "passord", "kodeord", "lykilor\u00f0", "jelsz\u00f3", "jelszavam", "lozinka", "geslo"),
    *("parool", "paroles", "parole", "slapta\u017eodis", "contrasenya", "kata sandi", "m\u1eadt kh\u1ea9u", "mat khau"),
    *(
        "\u043f\u0430\u0440\u043e\u043b\u044c",
        "\u043b\u043e\u0437\u0438\u043d\u043a\u0430",
        "\u5bc6\u7801",
        "\u53e3\u4ee4",
    ),
    *(
        "\u03ba\u03c9\u03b4\u03b9\u03ba\u03cc\u03c2 \u03c0\u03c1\u03cc\u03c3\u03b2\u03b1\u03c3\u03b7\u03c2",
        "\u5bc6\u78bc",
    ),
    *("\u03c3\u03c5\u03bd\u03b8\u03b7\u03bc\u03b1\u03c4\u03b9\u03ba\u03cc", "\u30d1\u30b9\u30ef\u30fc\u30c9"),
    *(
        "\u6697\u8a3c\u756a\u53f7",
        "\ube44\ubc00\ubc88\ud638",
        "\uc554\ud638",
        "\ud328\uc2a4\uc6cc\ub4dc",
        "\ube44\ubc88",
    ),
    *(
        "\u0643\u0644\u0645\u0629 \u0627\u0644\u0645\u0631\u0648\u0631",
        "\u0627\u0644\u0631\u0642\u0645 \u0627\u0644\u0633\u0631\u064a",
    ),
    *(
        "\u0631\u0645\u0632 \u0639\u0628\u0648\u0631",
        "\u067e\u0627\u0633 \u0648\u0631\u0688",
        "\u05e1\u05d9\u05e1\u05de\u05d4",
    ),
    *("\u092a\u093e\u0938\u0935\u0930\u094d\u0921", "\u09aa\u09be\u09b8\u0993\u09af\u09bc\u09be\u09b0\u09cd\u09a1"),
    *(
        "\u0b95\u0b9f\u0bb5\u0bc1\u0b9a\u0bcd\u0b9a\u0bca\u0bb2\u0bcd",
        "\u0e23\u0e2b\u0e31\u0e2a\u0e1c\u0e48\u0e32\u0e19",
    ),
    *(
        "cookie: sid",
        "set-cookie: theme=dark; auth",
        "curl -u ann",
        "curl https://x.example --user 'ann",
        "wget -qu bob",
    ),
    *("mysql -u root -p", "mysqldump shop -p", "password", "pwd", "mot de passe"),
)
LATER = (
    *(
        "=",
        ": ",
        '": "',
        " for the office in Rome: ",
        "\n:\n",
        " of ours is now ",
        " nueva es ahora ",
        " to ",
        " jest ",
    ),
    *("\u306f", "\u662f", "\ub294 ", " <", "(", " \u2014 ", " \u0432\u0430\u0448\u0430: ", " ", ""),
)
TEXTS = [
    f"please use {name}{says}{value}, thanks"
    for name, says, value in (
        *product(NAMES, SAYS, VALUES),
        *product(WORDS, LATER, (*VALUES[::2], "k\u00f6ln\u00df2024\u00e4", "493127")),
    )
]


def test_no_text_with_a_secret_is_above_suspicion() -> None:
    secrets, found = Credentials(), 0
    for text in (*TEXTS, *map(str.upper, TEXTS)):
        sketch = Sketch([text])
        if any(True for _ in secrets.spans(sketch.texts[0])):
            found += 1
            assert secrets.suspects(sketch) == {0}, text
    assert found > 9_000


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
    assert Credentials().suspects(Sketch(texts)) == set()


def test_what_only_has_words_like_passwords_is_not_suspected() -> None:
    texts = [
        "All 12 tests pass; the enclave let her pass at 9: parole was granted, he passed by 3 compasses.",
        "A pass-through of `$PWD/bin`: sandisk, Hesling and whatever San Diego's sandier beaches have.",
        "curl https://example.org/models, wget it, or ask mysql: all answer.",
    ]
    assert Credentials().suspects(Sketch(texts)) == set()


def test_a_key_is_suspected_by_its_sign_where_it_has_room() -> None:
    texts = ["homeostat_consumer_pat", "docs_about_sk_and_AKIA", "abcdefghij1234.atlasv1." + "Zz9" * 20]
    assert Credentials().suspects(Sketch(texts)) == {2}
