"""Bodies that are no JSON, no object, or have fields that are not what they should be."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.serving.support.malformed.case import Case, post

GOOD: dict[str, Any] = {"model": "support", "messages": [{"role": "user", "content": "Where is my card?"}]}
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/feedback")
FIELDS = (
    *("model", "messages", "prompt", "input", "stream", "stream_options", "logprobs", "top_logprobs", "n"),
    "max_tokens",
    *("temperature", "stop", "user", "tools", "tool_choice", "response_format", "seed", "logit_bias", "echo", "suffix"),
    *("request_id", "label", "correction", "score", "thumb", "instructions", "best_of", "metadata", "pace_ms"),
)
BROKEN = (
    *(b"", b"{", b"}", b"[]", b"null", b"true", b"1", b'"support"', b"{]", b'{"model"', b'{"model":}', b"{'model': 1}"),
    *(b'{"model": NaN}', b'{"model": "support",}', b'{"model": "support" "messages": []}', b"\x00", b"{\x00}"),
    *(b'\xef\xbb\xbf{"model": "support"}', b'{"model": "\xff\xfe"}', b'{"model": "\xed\xa0\x80"}', b'{"\xc0\xaf": 1}'),
    *(b'{"model": "\\ud800"}', b'{"model": "sup\nport"}', b'{"model": "\\x41"}', b'{"model": 01}', b'{"model": 1e}'),
    *(b'{"model": Infinity}', b"// {}", b"<html></html>", b"model=support&messages=none", b'{"a": 1}{"b": 2}'),
)


def no_json(rng: Random, key: str) -> Case:
    """Well framed, and nothing that could be read."""
    body = rng.choice((*BROKEN, rng.randbytes(rng.randint(1, 300)), json.dumps(GOOD).encode("utf-16")))
    return Case("body that is no JSON", post(body, key, target=rng.choice(PATHS)))


def cut(rng: Random, key: str) -> Case:
    """A good body that ends early."""
    body = json.dumps(GOOD).encode()
    return Case("body cut off", post(body[: rng.randint(1, len(body) - 1)], key, target=rng.choice(PATHS)))


def altered(rng: Random, key: str) -> Case:
    """A good body with some bytes that are others."""
    body = bytearray(json.dumps({**GOOD, "max_tokens": 4, "stream": rng.random() < 0.5}).encode())
    for _ in range(rng.randint(1, 6)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return Case("body with bytes altered", post(bytes(body), key, target=rng.choice(PATHS)))


def wrong_types(rng: Random, key: str) -> Case:
    """Fields that hold anything at all."""
    body = {**GOOD, "prompt": "Once"} if rng.random() < 0.8 else {}
    for name in rng.sample(FIELDS, rng.randint(1, 4)):
        body[name] = anything(rng, 3)
    return Case("fields of the wrong type", post(_json(body), key, target=rng.choice(PATHS)))


def wrong_messages(rng: Random, key: str) -> Case:
    """Messages whose parts hold anything at all."""
    message = {"role": anything(rng, 1), "content": anything(rng, 2), rng.choice(FIELDS): anything(rng, 1)}
    messages = [message] * rng.randint(1, 3) if rng.random() < 0.8 else message
    return Case("messages of the wrong shape", post(_json({**GOOD, "messages": messages}), key))


def deep(rng: Random, key: str) -> Case:
    """Nested until a parser that calls itself gives up."""
    depth = rng.choice((50, 900, 1_100, 5_000, 100_000))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
    inner = opened * depth + "1" + (closed * depth if rng.random() < 0.7 else "")
    field = rng.choice(FIELDS)
    return Case("deep nesting", post(f'{{"model": "support", "{field}": {inner}}}'.encode(), key))


def numbers(rng: Random, key: str) -> Case:
    """Numbers that no machine has."""
    number = rng.choice(
        ("1e400", "-1e400", "9" * 400, "-" + "9" * 5_000, "0." + "0" * 400 + "1", "1e-400", "-0", "2e9")
    )
    field = rng.choice(FIELDS)
    body = f'{{"model": "support", "messages": [], "{field}": {number}, "stream": {rng.choice(("true", "false"))}}}'
    return Case("numbers out of range", post(body.encode(), key, target=rng.choice(PATHS)))


def twice(rng: Random, key: str) -> Case:
    """The same field again with another value: what is checked may not be what is used."""
    first, second = json.dumps(anything(rng, 1)), json.dumps(anything(rng, 1))
    body = f'{{"model": "support", "messages": [], "model": {first}, "stream": {second}, "stream": true}}'
    return Case("fields twice", post(body.encode("utf-8", "replace"), key))


def large(rng: Random, key: str) -> Case:
    """More than a body may have, announced or not."""
    body = b'{"model": "support", "messages": "' + b"x" * rng.choice((1_048_576, 1_200_000, 3_000_000)) + b'"}'
    if rng.random() < 0.5:
        return Case("body too large", post(body, key))
    return Case(
        "body announced too large", post(body[:100], key, length=str(rng.choice((10**7, 10**12, 2**63, 10**30))))
    )


def anything(rng: Random, depth: int) -> Any:
    """Some JSON value."""
    plain = (
        None,
        True,
        False,
        0,
        -1,
        10**12,
        2**64,
        -(2**70),
        1e308,
        "",
        "support",
        "\0",
        "\u202e",
        "x" * 5_000,
        "é" * 9,
    )
    kind = rng.random()
    if depth == 0 or kind < 0.6:
        return rng.choice(plain)
    if kind < 0.8:
        return [anything(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice((*FIELDS, "", "\0", "type", "text")): anything(rng, depth - 1) for _ in range(rng.randint(0, 3))}


def _json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "replace")


MAKERS = (no_json, cut, altered, wrong_types, wrong_types, wrong_messages, deep, numbers, twice)
HEAVY = (large,)
