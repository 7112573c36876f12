"""The probe: does a replica serve an adapter's bytes? Engines that do answer alike to the same prompt.

A fingerprint is the log-probabilities of the TOP likeliest tokens after PROMPT under the version's name. The digest
shows which bytes the engine was given, the fingerprint which it computes with.

Fingerprints of one digest vote: this replica's own, the one it had before, and those of the other replicas that are
well. The largest group that agrees is right; of equally large ones the one that stands longest, then the first by
name. So of two replicas the older is right, a third one decides, and every replica decides alike.

PROMPT is one whose next tokens are likely, because log-probabilities near zero are computed alike in every
precision. Mean differences measured on Gemma 270M: float32 against bfloat16 0.06, an adapter against its successor
after five more steps 0.39, two unlike adapters 2 to 5. It has several tokens, because attention over a single one
hides an adapter on queries and keys, and fewer than any block of a prefix cache. The prompt's own log-probabilities
would tell more, but asking vLLM 0.32 for them while it answers others with adapters ends the engine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from streams.events import ReplicaAttested
from streams.proof import Probe

PROMPT = "1 2 3 4"
EDITION = 1  # of what is asked: a change of PROMPT or TOP makes the next one
TOP = 10  # vLLM tells of 20 at most, unless it was started otherwise
DIGITS = 4  # kept of each log-probability: far below any tolerance
NEVER_MS = 2**62  # sorts after every real time: a fingerprint that no attestation backs

Logprobs = Mapping[str, float]  # token -> log-probability


class NoFingerprint(ValueError):
    """A reply holds no fingerprint; the message shows what it holds."""


@dataclass(frozen=True, slots=True)
class ProbeReading:
    """One reply to PROMPT. `engine`: its name for its own build and configuration."""

    logprobs: dict[str, float]
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Vote:
    """A fingerprint, the replica that measured it, and since when."""

    logprobs: Logprobs
    since_ms: int
    by: str


def request(model: str) -> dict[str, Any]:
    """Return the body for /v1/completions. Tokens go by their ids: several may look the same."""
    asked = {"prompt": PROMPT, "max_tokens": 1, "temperature": 0, "logprobs": TOP}
    return {"model": model, **asked, "return_tokens_as_token_ids": True}


def warming(model: str, prompts: int) -> dict[str, Any]:
    """Return a body that makes an engine do what clients will: so many answers at once, with log-probabilities."""
    return {"model": model, "prompt": [PROMPT] * prompts, "max_tokens": 4, "temperature": 0, "logprobs": 1}


class _ProbeLogprobs(msgspec.Struct, frozen=True):
    top_logprobs: list[dict[str, float]]


class _ProbeChoice(msgspec.Struct, frozen=True):
    logprobs: _ProbeLogprobs


class _ProbeReply(msgspec.Struct, frozen=True):
    model: str
    choices: list[_ProbeChoice]
    system_fingerprint: str | None = None


def read(body: bytes, model: str) -> ProbeReading:
    """Return the fingerprint in a reply. Raise NoFingerprint where another model gave it, or it has none."""
    try:
        reply = msgspec.json.decode(body, type=_ProbeReply)
    except UNREADABLE as error:
        raise NoFingerprint(f"probe of {model}: {error}: {body[:200]!r}") from error
    if reply.model != model:
        raise NoFingerprint(f"probe of {model}: answered by {reply.model}")
    first = [found for choice in reply.choices[:1] for found in choice.logprobs.top_logprobs[:1]]
    found = first[0] if first else {}
    if not found or not all(map(math.isfinite, found.values())):
        raise NoFingerprint(f"probe of {model}: log-probabilities are {found}, expected some finite ones")
    return ProbeReading({token: round(value, DIGITS) for token, value in found.items()}, reply.system_fingerprint or "")


def distance(one: Logprobs, other: Logprobs) -> float:
    """Return the mean absolute difference over the tokens of both. One that is not among the other's likeliest is at
    most as likely there as the least of them. Infinite where there is nothing to compare.

    >>> distance({"a": -1.0, "b": -2.0}, {"a": -1.5, "b": -2.0})
    0.25
    >>> distance({"a": -1.0, "b": -2.0}, {"a": -1.0, "c": -2.0})
    0.0
    """
    if not one or not other:
        return math.inf
    least, least_other = min(one.values()), min(other.values())
    apart = [abs(one[token] - other[token]) for token in one.keys() & other.keys()]
    apart += [max(0.0, value - least_other) for token, value in one.items() if token not in other]
    apart += [max(0.0, value - least) for token, value in other.items() if token not in one]
    return math.fsum(apart) / len(apart)


def elected(votes: Iterable[Vote], tolerance: float) -> Vote:
    """Return the vote that most agree with; of equals the oldest, then the first by name.

    >>> old, new = Vote({"x": -1.0}, 5, "a"), Vote({"x": -3.0}, 9, "b")
    >>> elected([old, new], 0.1).by, elected([old, new, Vote({"x": -3.01}, 10, "c")], 0.1).by
    ('a', 'b')
    """
    cast = sorted(votes, key=lambda vote: (vote.since_ms, vote.by))
    sizes = [sum(distance(vote.logprobs, each.logprobs) <= tolerance for each in cast) for vote in cast]
    return cast[sizes.index(max(sizes))]


def remembered(known: Probe | None, seen: ProbeReading, now_ms: int, tolerance: float) -> Probe:
    """Return a replica's probe: the fingerprint it always had, with what differs from it now. An engine of another
    build or configuration starts over: only the other replicas show whether it may differ."""
    first = Probe(logprobs=seen.logprobs, since_ms=now_ms, engine=seen.engine, edition=EDITION)
    if known is None or known.edition != EDITION:
        return first
    apart = distance(known.logprobs, seen.logprobs)
    if apart > tolerance and known.engine != seen.engine:
        return first
    differing = seen.logprobs if apart > tolerance else {}
    return msgspec.structs.replace(known, engine=seen.engine, differing=differing)


def own(probe: Probe, me: str) -> list[Vote]:
    """Return a replica's fingerprint, and the one before where that was another."""
    before = Vote(probe.logprobs, probe.since_ms, me)
    return [Vote(probe.differing, NEVER_MS, me), before] if probe.differing else [before]


def others(replicas: Iterable[ReplicaAttested], me: str, version: str, digest: str) -> list[Vote]:
    """Return the other replicas' fingerprints of the same digest, whether they attest it or not."""
    votes = []
    for each in replicas:
        probe = each.probes.get(version)
        if probe is None or each.replica == me or probe.edition != EDITION:
            continue
        if each.versions.get(version, digest) == digest:
            votes.append(own(probe, each.replica)[0])
    return votes
