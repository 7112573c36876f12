"""What an engine is asked for a proof, and which of its answers count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.replica.effect import measured, request
from serving.replica.probe import NoFingerprint
from tests.support.proofs import PROOF

VERSION = "support-0123456789ab"
RIGHT = {"token_id:5": -0.5, "token_id:6": -2.0, "token_id:7": -9999.0}


def answer(index: int, top: dict[str, float] | None = None) -> dict[str, Any]:
    return {"index": index, "logprobs": {"top_logprobs": [RIGHT if top is None else top]}}


def reply(*choices: dict[str, Any], model: str = VERSION) -> bytes:
    return json.dumps({"model": model, "choices": list(choices)}).encode()


def test_it_asks_for_one_token_after_each_prefix_and_nothing_remembered() -> None:
    """Never for the prompt's own log-probabilities, which ends engines with adapters."""
    assert request(VERSION, PROOF, "s1") == {
        "model": VERSION,
        "prompt": [[2, 105, 9], [2, 105, 9]],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 20,
        "return_tokens_as_token_ids": True,
        "cache_salt": "s1",
    }


def test_answers_belong_to_questions_by_their_index() -> None:
    assert measured(reply(answer(1), answer(0)), VERSION, PROOF) == 0.0
    off = {"token_id:5": -0.5, "token_id:6": -3.0}
    assert measured(reply(answer(1, off), answer(0)), VERSION, PROOF) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (reply(answer(0), answer(1), model="base"), "answered by base"),
        (b"<html>", "malformed"),
        (reply(answer(0)), "expected one for each of 2"),
        (reply(answer(0), answer(0)), "expected one for each of 2"),
        (reply(answer(0), answer(1), answer(2)), "expected one for each of 2"),
        (reply(answer(0), answer(1, {})), "expected one token's"),
        (reply(answer(0), answer(1, {" the": -1.0})), "token_id:NUMBER"),
        (reply(answer(0), answer(1, {"token_id:5": 0.7})), "0 at most"),
        (reply(answer(0), {"index": 1, "logprobs": None}), "Expected `object`"),
        (reply(answer(0), {"index": 1, "logprobs": {"top_logprobs": []}}), "expected one token's"),
        (reply(answer(0), answer(1)).replace(b"-0.5", b"NaN"), "malformed"),
    ],
)
def test_a_reply_that_answers_something_else_proves_nothing_and_is_named(body: bytes, message: str) -> None:
    with pytest.raises(NoFingerprint, match=message):
        measured(body, VERSION, PROOF)
