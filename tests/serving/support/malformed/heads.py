"""Request lines and headers that are none, or lead to where no client may go."""

from __future__ import annotations

import json
from random import Random

from tests.serving.support.malformed.bodies import GOOD
from tests.serving.support.malformed.case import Case, Ending, post

BODY = json.dumps(GOOD).encode()
ADMIN = (
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/metrics",
    "/health",
    "/version",
    "/tokenize",
    "/invocations",
)
METHODS = (
    "GET",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "HEAD",
    "TRACE",
    "CONNECT",
    "post",
    "PO ST",
    "FOO",
    "M" * 300,
    "\x00",
    "PRI",
    "",
)
VERSIONS = (
    "HTTP/0.9",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/9.9",
    "HTTP/11",
    "http/1.1",
    "HTTP",
    "",
    "HTTP/1.1 x",
    "ICY/1.1",
)
HEADERS = (
    *(
        "no colon\r\n",
        ": no name\r\n",
        " folded: x\r\n",
        "x: a\r\n b\r\n",
        "x\0: y\r\n",
        "x: \0\r\n",
        "x: a\rb\r\n",
        "x: a\nb: c\r\n",
    ),
    *(
        "sp ace: x\r\n",
        "x : y\r\n",
        "é: x\r\n",
        "x: é\r\n",
        "x:\r\n",
        "host: a\r\nhost: b\r\n",
        "connection: close, x, upgrade\r\n",
    ),
    *("upgrade: websocket\r\nconnection: upgrade\r\n", "upgrade: h2c\r\nconnection: Upgrade, HTTP2-Settings\r\n"),
    *(
        "expect: 100-continue\r\n",
        "expect: anything\r\n",
        "content-encoding: gzip\r\n",
        "te: trailers\r\n",
        "range: bytes=0-1\r\n",
    ),
    *(
        "x-session-id: \x01\x02\r\n",
        "x-homeostat-tenant: " + "t" * 9_000 + "\r\n",
        "content-type: \0\r\n",
        "traceparent: 00-zz\r\n",
    ),
    *(
        "authorization: Basic x\r\n",
        "authorization:\r\n",
        "authorization: Bearer \xff\r\n",
        "proxy-connection: keep-alive\r\n",
    ),
)
RAW = (
    *(
        b"\r\n\r\n",
        b"\n\n\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 200,
        b" " * 300 + b"\r\n\r\n",
    ),
    *(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 200,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x05\x01\x00",
        b"SSH-2.0-x\r\n",
    ),
    *(b"POST", b"POST /v1/chat", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x", b":" * 500 + b"\r\n\r\n", b""),
)


def target(rng: Random, key: str) -> Case:
    """Ways to an engine's own endpoints, and to nowhere."""
    path = rng.choice((*ADMIN, "/etc/passwd", "/v1/chat/completions"))
    shape = rng.choice(
        (
            *(
                "{p}",
                "//v1/..{p}",
                "/v1/chat/completions/../../..{p}",
                "/v1/../{p}",
                "/v1/chat/completions/..;{p}",
                "\\{p}",
            ),
            *(
                "http://127.0.0.1:8001{p}",
                "http://engine{p}",
                "https://x:1@y{p}",
                "x:1",
                "*",
                "{p}%00",
                "{p}%0d%0ax: y",
                "{p};a=b",
            ),
            *(
                "/v1%2fload_lora_adapter",
                "/%76%31{p}",
                "/v1/models/..%2f..{p}",
                "/v1/models/%2e%2e{p}",
                "{p}?a=b#c",
                "/./v1/.{p}",
            ),
            *(
                "/v1/models/" + "m" * 3_000,
                "/" + "a" * 70_000,
                "",
                "?",
                "/v1/models/\u00e9",
                "{p}\x7f",
                "{p}\t",
                "file://{p}",
                "/v1/models/%",
            ),
        )
    )
    method = rng.choice(("GET", "POST"))
    return Case("target", post(BODY, key, target=shape.format(p=path), method=method))


def method(rng: Random, key: str) -> Case:
    data = post(BODY, key, method=rng.choice(METHODS), version=rng.choice(("HTTP/1.1", *VERSIONS)))
    return Case("method or version", data, Ending.HALF_CLOSE)


def header(rng: Random, key: str) -> Case:
    lines = "".join(rng.sample(HEADERS, rng.randint(1, 3)))
    return Case("odd headers", post(BODY, key, headers=lines))


def many(rng: Random, key: str) -> Case:
    """More than 64 KiB of them, in one or in many."""
    lines = rng.choice(
        (
            "x: " + "y" * rng.choice((65_537, 200_000)) + "\r\n",
            "x" * 70_000 + ": y\r\n",
            "".join(f"x-{i}: {'y' * 50}\r\n" for i in range(1_500)),
            "a:\r\n" * 30_000,
        )
    )
    return Case("headers too large", post(BODY, key, headers=lines))


def nobody(rng: Random, key: str) -> Case:
    """Without a key, or with one that is not known."""
    return Case(
        "unknown key", post(BODY, rng.choice(("", "x", "é", key[:-1], f"{key} ", f"{key}\0", "\x00", "x" * 9_000)))
    )


def raw(rng: Random, key: str) -> Case:
    """Bytes that are no request."""
    return Case("no HTTP", rng.choice((*RAW, rng.randbytes(rng.randint(1, 2_000)))), Ending.HALF_CLOSE)


def altered(rng: Random, key: str) -> Case:
    """A good request with some bytes that are others."""
    data = bytearray(post(BODY, key))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return Case("request with bytes altered", bytes(data), Ending.HALF_CLOSE)


def drip(rng: Random, key: str) -> Case:
    """A head or a body that comes a byte a second."""
    data = post(BODY, key)
    return Case(
        "slow loris", data, Ending.DRIP, rng.choice((1, 20, 60, len(data) - len(BODY) - 2, len(data) - len(BODY) + 9))
    )


MAKERS = (target, target, target, method, header, header, many, nobody, raw, altered, altered)
