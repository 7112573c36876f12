"""Whose fingerprint is right: everyone decides alike, and noise decides nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.replica.probe import (
    EDITION,
    PROMPT,
    TOP,
    NoFingerprint,
    ProbeReading,
    Vote,
    distance,
    elected,
    others,
    own,
    read,
    remembered,
    request,
)
from streams.events import ReplicaAttested
from streams.proof import Probe

VERSION, DIGEST = "support-0123456789ab", "0123456789ab" + "0" * 52
TRUE, WRONG = {"a": -1.0, "b": -2.0, "c": -3.0}, {"a": -1.0, "b": -2.5, "c": -4.0}


def shifted(logprobs: dict[str, float], by: float) -> dict[str, float]:
    return {token: value + by for token, value in logprobs.items()}


def reply(**changes: Any) -> bytes:
    top = {"token_id:5": -1.23456, "token_id:6": -2.0}
    shown = {
        "model": VERSION,
        "choices": [{"logprobs": {"top_logprobs": [top]}}],
        "system_fingerprint": "vllm-0.32.0-abc",
    }
    return json.dumps(shown | changes).encode()


def choice(*top: dict[str, float]) -> list[dict[str, Any]]:
    return [{"logprobs": {"top_logprobs": list(top)}}]


def test_a_reply_has_the_likeliest_tokens() -> None:
    assert read(reply(), VERSION) == ProbeReading({"token_id:5": -1.2346, "token_id:6": -2.0}, "vllm-0.32.0-abc")
    assert read(reply(system_fingerprint=None), VERSION).engine == ""


def test_the_question_never_asks_for_the_prompts_own_log_probabilities() -> None:
    """It would end the engine, see `serving.replica.probe`."""
    assert request(VERSION) == {
        "model": VERSION,
        "prompt": PROMPT,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": TOP,
        "return_tokens_as_token_ids": True,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (reply(model="base"), "answered by base"),
        (b"<html>", "malformed"),
        (reply(choices=[]), "expected some finite ones"),
        (reply(choices=choice()), "expected some finite ones"),
        (reply(choices=choice({})), "expected some finite ones"),
        (reply(choices=[{"logprobs": None}]), "Expected `object`"),
        (reply(choices=choice({"a": 1e999})), "malformed|finite"),
    ],
)
def test_a_reply_without_a_fingerprint_is_named(body: bytes, message: str) -> None:
    with pytest.raises(NoFingerprint, match=message):
        read(body, VERSION)


def test_nothing_is_infinitely_far() -> None:
    assert distance({"a": -1.0}, {}) == distance({}, {}) == math.inf


def test_a_token_that_only_just_is_among_the_likeliest_makes_no_difference() -> None:
    one, other = {"a": -0.5, "b": -3.0}, {"a": -0.5, "c": -3.0}
    assert distance(one, other) == 0
    assert distance(one, {"x": -0.5, "c": -3.0}) == pytest.approx(2.5 * 2 / 4)


@pytest.mark.slow
@given(*[st.dictionaries(st.sampled_from("abcde"), st.floats(-20, 0), min_size=1) for _ in range(2)])
def test_a_distance_is_the_same_from_both_sides(one: dict[str, float], other: dict[str, float]) -> None:
    assert distance(one, other) == distance(other, one) >= 0
    assert distance(one, one) == 0


def votes(*shown: tuple[dict[str, float], int]) -> list[Vote]:
    return [Vote(logprobs, since, f"r{i}") for i, (logprobs, since) in enumerate(shown)]


@pytest.mark.parametrize(
    ("cast", "right"),
    [
        ([(TRUE, 5)], TRUE),
        ([(WRONG, 9), (TRUE, 5)], TRUE),
        ([(WRONG, 5), (TRUE, 9)], WRONG),
        ([(WRONG, 5), (TRUE, 8), (TRUE, 9)], TRUE),
        ([(WRONG, 5), (TRUE, 8), (shifted(TRUE, -0.05), 9)], TRUE),
    ],
    ids=["alone", "the older of two", "though it be wrong", "until a third speaks", "noise is agreement"],
)
def test_the_largest_group_is_right_and_of_equals_the_oldest(
    cast: list[tuple[dict[str, float], int]], right: dict[str, float]
) -> None:
    assert elected(votes(*cast), 0.1).logprobs == right


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from([-1.0, -1.05, -2.0, -9.0]), st.integers(0, 3)), min_size=1, max_size=6))
def test_everyone_elects_the_same_in_any_order(cast: list[tuple[float, int]]) -> None:
    box = votes(*(({"a": value}, since) for value, since in cast))
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


def test_others_count_on_the_same_digest_only() -> None:
    probe = Probe(logprobs=TRUE, since_ms=5)
    refused = msgspec.structs.replace(probe, differing=WRONG)
    shown = [attested("me", probe), attested("a", probe), attested("b", None), attested("c", probe, "f" * 64)]
    assert others(shown, "me", VERSION, DIGEST) == [Vote(TRUE, 5, "a")]
    (vote,) = others([attested("d", refused)], "me", VERSION, DIGEST)
    assert vote.logprobs == WRONG


def test_answers_to_another_question_are_not_compared() -> None:
    old = Probe(logprobs=WRONG, since_ms=1, engine="e1", edition=EDITION - 1)
    assert others([attested("a", old)], "me", VERSION, DIGEST) == []
    assert remembered(old, ProbeReading(TRUE, "e1"), 9, 0.1) == Probe(logprobs=TRUE, since_ms=9, engine="e1")


def test_one_that_differs_from_before_has_its_own_past_against_it() -> None:
    known = remembered(None, ProbeReading(TRUE, "e1"), 5, 0.1)
    assert known == Probe(logprobs=TRUE, since_ms=5, engine="e1")
    now = remembered(known, ProbeReading(WRONG, "e1"), 9, 0.1)
    assert (now.logprobs, now.differing, now.since_ms) == (TRUE, WRONG, 5)
    assert elected(own(now, "me"), 0.1).logprobs == TRUE
    assert elected([*own(now, "me"), Vote(WRONG, 8, "r2")], 0.1).logprobs == WRONG
    again = remembered(now, ProbeReading(shifted(TRUE, 0.01), "e1"), 10, 0.1)
    assert again == known


def test_another_engine_starts_over_where_it_differs_and_stays_where_it_does_not() -> None:
    known = Probe(logprobs=TRUE, since_ms=5, engine="e1")
    assert remembered(known, ProbeReading(WRONG, "e2"), 9, 0.1) == Probe(logprobs=WRONG, since_ms=9, engine="e2")
    kept = remembered(known, ProbeReading(TRUE, "e2"), 9, 0.1)
    assert kept == Probe(logprobs=TRUE, since_ms=5, engine="e2")
    assert remembered(kept, ProbeReading(WRONG, "e2"), 10, 0.1).differing == WRONG
