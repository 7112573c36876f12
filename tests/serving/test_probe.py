"""Whose fingerprint is right: everyone decides alike, and noise decides nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.probe import (
    PROMPT,
    Measured,
    NoFingerprint,
    Vote,
    distance,
    elected,
    others,
    own,
    read,
    remembered,
    request,
)
from streams.events import Probe, ReplicaAttested

VERSION, DIGEST = "support-0123456789ab", "0123456789ab" + "0" * 52
TRUE, WRONG = [-1.0, -2.0, -3.0], [-1.0, -2.5, -4.0]


def reply(**changes: Any) -> bytes:
    tokens = [None, {"5": {"logprob": -1.23456, "rank": 1}}, {"6": {"logprob": -2.0}}]
    told = {"model": VERSION, "choices": [{"prompt_logprobs": tokens}], "system_fingerprint": "vllm-0.32.0-abc"}
    return json.dumps(told | changes).encode()


def test_a_reply_has_the_prompts_log_probabilities() -> None:
    assert read(reply(), VERSION) == Measured([-1.2346, -2.0], "vllm-0.32.0-abc")
    assert read(reply(system_fingerprint=None), VERSION).engine == ""
    assert request(VERSION) == {
        "model": VERSION,
        "prompt": PROMPT,
        "max_tokens": 1,
        "temperature": 0,
        "prompt_logprobs": 0,
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (reply(model="base"), "answered by base"),
        (b"<html>", "malformed"),
        (reply(choices=[]), "are \\[\\]"),
        (reply(choices=[{"prompt_logprobs": [None]}]), "expected some finite ones"),
        (reply(choices=[{"prompt_logprobs": None}]), "Expected `array`"),
        (reply(choices=[{"prompt_logprobs": [{"5": {"logprob": 1e999}}]}]), "Infinity|malformed|finite"),
    ],
)
def test_a_reply_without_a_fingerprint_is_named(body: bytes, words: str) -> None:
    with pytest.raises(NoFingerprint, match=words):
        read(body, VERSION)


def test_other_lengths_are_infinitely_far() -> None:
    assert distance([-1.0], [-1.0, -2.0]) == distance([], []) == math.inf


def votes(*told: tuple[list[float], int]) -> list[Vote]:
    return [Vote(logprobs, since, f"r{i}") for i, (logprobs, since) in enumerate(told)]


@pytest.mark.parametrize(
    ("cast", "right"),
    [
        ([(TRUE, 5)], TRUE),
        ([(WRONG, 9), (TRUE, 5)], TRUE),
        ([(WRONG, 5), (TRUE, 9)], WRONG),
        ([(WRONG, 5), (TRUE, 8), (TRUE, 9)], TRUE),
        ([(WRONG, 5), (TRUE, 8), ([v - 0.05 for v in TRUE], 9)], TRUE),
    ],
    ids=["alone", "the older of two", "though it be wrong", "until a third speaks", "noise is agreement"],
)
def test_the_largest_group_is_right_and_of_equals_the_oldest(
    cast: list[tuple[list[float], int]], right: list[float]
) -> None:
    assert elected(votes(*cast), 0.1).logprobs == right


@given(st.lists(st.tuples(st.sampled_from([-1.0, -1.05, -2.0, -9.0]), st.integers(0, 3)), min_size=1, max_size=6))
def test_everyone_elects_the_same_whoever_counts(cast: list[tuple[float, int]]) -> None:
    box = votes(*(([value], since) for value, since in cast))
    found = {elected(order, 0.1).by for order in (box, box[::-1], box[1:] + box[:1])}
    assert len(found) == 1


def attested(name: str, probe: Probe | None, digest: str = DIGEST) -> ReplicaAttested:
    probes = {} if probe is None else {VERSION: probe}
    return ReplicaAttested(
        replica=name,
        url="u",
        time_ms=1,
        healthy=True,
        base_model="b",
        versions={VERSION: digest},
        generations={},
        probes=probes,
    )


def test_others_are_heard_on_the_same_digest_only() -> None:
    probe = Probe(logprobs=TRUE, since_ms=5)
    refused = msgspec.structs.replace(probe, differing=WRONG)
    told = [attested("me", probe), attested("a", probe), attested("b", None), attested("c", probe, "f" * 64)]
    assert others(told, "me", VERSION, DIGEST) == [Vote(TRUE, 5, "a")]
    (vote,) = others([attested("d", refused)], "me", VERSION, DIGEST)
    assert vote.logprobs == WRONG


def test_one_that_differs_from_before_has_its_own_past_against_it() -> None:
    known = remembered(None, Measured(TRUE, "e1"), 5, 0.1)
    assert known == Probe(logprobs=TRUE, since_ms=5, engine="e1")
    now = remembered(known, Measured(WRONG, "e1"), 9, 0.1)
    assert (now.logprobs, now.differing, now.since_ms) == (TRUE, WRONG, 5)
    assert elected(own(now, "me"), 0.1).logprobs == TRUE
    assert elected([*own(now, "me"), Vote(WRONG, 8, "r2")], 0.1).logprobs == WRONG
    again = remembered(now, Measured([v + 0.01 for v in TRUE], "e1"), 10, 0.1)
    assert again == known


def test_another_engine_begins_anew_where_it_differs_and_stays_where_it_does_not() -> None:
    known = Probe(logprobs=TRUE, since_ms=5, engine="e1")
    assert remembered(known, Measured(WRONG, "e2"), 9, 0.1) == Probe(logprobs=WRONG, since_ms=9, engine="e2")
    kept = remembered(known, Measured(TRUE, "e2"), 9, 0.1)
    assert kept == Probe(logprobs=TRUE, since_ms=5, engine="e2")
    assert remembered(kept, Measured(WRONG, "e2"), 10, 0.1).differing == WRONG
