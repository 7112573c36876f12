"""The questions of a proof of effect, as an engine is asked them, and the reading of its answers: pure.

Each asks for one token and the likeliest ones in its place, never for the prompt's log-probabilities (see `probe`). All
go in one request, under a salt of their own: what an engine remembers of a prefix, it may have calculated with other
weights."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from serving.replica.probe import NoFingerprint
from streams.proof import Answer, Proof, distance

NAMED = 20  # likeliest tokens of an answer; what vLLM names at most, unless it was started otherwise
BY_ID = "token_id:"  # before a token's number, where an engine returns tokens as ids
ABOVE_ZERO = 1e-3  # nats that rounding may put a log-probability above 0


def request(model: str, proof: Proof, salt: str) -> dict[str, Any]:
    """Return the body for /v1/completions."""
    asked = {"prompt": [row.prefix for row in proof.rows], "max_tokens": 1, "temperature": 0, "logprobs": NAMED}
    return {"model": model, **asked, "return_tokens_as_token_ids": True, "cache_salt": salt}


class _EffectLogprobs(msgspec.Struct, frozen=True):
    top_logprobs: list[dict[str, float]]


class _EffectChoice(msgspec.Struct, frozen=True):
    index: int
    logprobs: _EffectLogprobs


class _EffectReply(msgspec.Struct, frozen=True):
    model: str
    choices: list[_EffectChoice]


def measured(body: bytes, model: str, proof: Proof) -> float:
    """Return the distance of the answers in a reply from those expected. Raise NoFingerprint where another model gave
    it, where an answer lacks, or where a number in it is no log-probability."""
    try:
        reply = msgspec.json.decode(body, type=_EffectReply)
    except UNREADABLE as error:
        raise NoFingerprint(f"proof of {model}: {error}: {body[:200]!r}") from error
    if reply.model != model:
        raise NoFingerprint(f"proof of {model}: answered by {reply.model}")
    given = {choice.index: _answer(choice, model) for choice in reply.choices}
    if sorted(given) != list(range(len(proof.rows))) or len(given) != len(reply.choices):
        raise NoFingerprint(
            f"proof of {model}: answers {sorted(each.index for each in reply.choices)}, expected one for each of "
            f"{len(proof.rows)} questions"
        )
    return distance([row.expected for row in proof.rows], [given[i] for i in range(len(proof.rows))])


def _answer(choice: _EffectChoice, model: str) -> Answer:
    try:
        (found,) = choice.logprobs.top_logprobs
        named = {int(token.removeprefix(BY_ID)): value for token, value in found.items() if token.startswith(BY_ID)}
        if not named or len(named) != len(found):
            raise ValueError
    except ValueError:
        raise NoFingerprint(
            f"proof of {model}: answer {choice.index} is {choice.logprobs.top_logprobs}, expected one token's "
            f"log-probabilities by {BY_ID}NUMBER"
        ) from None
    if strange := [value for value in named.values() if not math.isfinite(value) or value > ABOVE_ZERO]:
        raise NoFingerprint(
            f"proof of {model}: answer {choice.index} has {strange[0]}, expected log-probabilities, 0 at most"
        )
    return named
