"""Requests whose length can be read in two ways, or in none."""

from __future__ import annotations

import json
from random import Random

from tests.serving.support.malformed.bodies import GOOD
from tests.serving.support.malformed.case import Case, Ending, post

BODY = json.dumps(GOOD).encode()
HIDDEN = b"POST /v1/load_lora_adapter HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
LENGTHS = (
    "-1",
    "+5",
    "0x10",
    "1e3",
    "1_0",
    "five",
    " ",
    "5, 5",
    "5,6",
    "5;",
    "\u0665",
    "9" * 30,
    "00005",
    "5 5",
    "5\t",
)
CODINGS = (
    *(
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "xchunked",
        "CHUNKED",
        "chunked\x0b",
        "\x0bchunked",
    ),
    *("chunked;q=1", "gzip", "gzip, chunked", '"chunked"', "chunk", "", "chunked\x00", "chunked\r\n x"),
)
CHUNKS = (
    *(
        b"zz\r\nab\r\n0\r\n\r\n",
        b"-2\r\nab\r\n0\r\n\r\n",
        b"0x2\r\nab\r\n0\r\n\r\n",
        b"2\nab\n0\n\n",
        b"2\r\nabXX0\r\n\r\n",
    ),
    *(b"ffffffffffffffffffff\r\nab\r\n", b"2 \r\nab\r\n0\r\n\r\n", b"2;" + b"x" * 70_000 + b"\r\nab\r\n0\r\n\r\n"),
    *(b"\r\n", b"2\r\na", b"2\r\nab\r\n", b"2\r\nab\r\n0\r\n", b"+2\r\nab\r\n0\r\n\r\n", b"2\r\r\nab\r\n0\r\n\r\n"),
    *(
        b"0\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"0\r\ncontent-length: 5\r\n\r\n",
        b"0\r\n\x00: \x00\r\n\r\n",
        b"2\r\nab0\r\n\r\n",
    ),
)
ENDINGS = (Ending.READ, Ending.HALF_CLOSE)


def length(rng: Random, key: str) -> Case:
    """A content-length that is no number, or another one than the body's."""
    told = rng.choice((*LENGTHS, str(rng.randint(0, len(BODY) - 1))))
    return Case("wrong content-length", post(BODY, key, length=told))


def too_long(rng: Random, key: str) -> Case:
    """More is announced than comes, and the client is done."""
    told = str(len(BODY) + rng.randint(1, 10_000))
    return Case("content-length too long", post(BODY, key, length=told), Ending.HALF_CLOSE)


def lengths(rng: Random, key: str) -> Case:
    """Two content-lengths."""
    other = rng.choice((str(len(BODY)), "0", "5", str(len(BODY) + 7), *LENGTHS))
    return Case(
        "two content-lengths", post(BODY + HIDDEN, key, headers=f"content-length: {other}\r\n"), rng.choice(ENDINGS)
    )


def both(rng: Random, key: str) -> Case:
    """Content-length and transfer-encoding: what one takes for the body is the next request to the other."""
    coding, name = (
        rng.choice(("chunked", *CODINGS)),
        rng.choice(("transfer-encoding", "Transfer-Encoding ", "\ttransfer-encoding")),
    )
    body = b"0\r\n\r\n" + HIDDEN if rng.random() < 0.5 else _chunked(BODY) + HIDDEN
    told = rng.choice((str(len(body)), "4", "0"))
    return Case(
        "content-length and transfer-encoding",
        post(body, key, headers=f"{name}: {coding}\r\n", length=told),
        rng.choice(ENDINGS),
    )


def coding(rng: Random, key: str) -> Case:
    """A transfer-encoding that nobody knows, or twice."""
    lines = "".join(f"transfer-encoding: {rng.choice(('chunked', *CODINGS))}\r\n" for _ in range(rng.randint(1, 2)))
    return Case("odd transfer-encoding", post(_chunked(BODY), key, headers=lines, length=None), Ending.HALF_CLOSE)


def chunks(rng: Random, key: str) -> Case:
    """Chunks that are none."""
    body = _chunked(BODY)[:-5] if rng.random() < 0.5 else b""
    data = post(body + rng.choice(CHUNKS), key, headers="transfer-encoding: chunked\r\n", length=None)
    return Case("bad chunks", data, Ending.HALF_CLOSE)


def pipelined(rng: Random, key: str) -> Case:
    """A good request, and behind it what is none; or many at once."""
    good = post(BODY, key)
    tail = rng.choice(
        (rng.randbytes(50), b"\0" * 40, b"GET\r\n\r\n", HIDDEN, good[: rng.randint(1, 90)], b"\r\n" * 40, good * 40)
    )
    return Case("pipelined", good + tail, rng.choice(ENDINGS))


def _chunked(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


MAKERS = (length, too_long, lengths, both, both, coding, chunks, chunks, pipelined)
