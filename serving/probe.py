"""Does a replica serve an adapter's bytes? Engines that do say the same to the same prompt.

A fingerprint is the log-probabilities of PROMPT's tokens under the version's name, each given those before it. The
digest says which bytes the engine was given, the fingerprint what it computes with.

Fingerprints of one digest vote: this replica's own, the one it had before, and those of the other replicas that are
well. The largest group that agrees is right; of equally large ones the one that stands longest, then the first by
name. So the word of two replicas is that of the older, a third one settles it, and everyone decides alike.

PROMPT is one whose tokens are likely, because log-probabilities near zero are computed alike in every precision.
Mean differences measured on Gemma 270M: float32 against bfloat16 0.05, an adapter against its successor after five
more steps 0.20, two unlike adapters 0.7 to 8."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from streams.events import Probe, ReplicaAttested

PROMPT = "1 2 3 4"
DIGITS = 4  # kept of each log-probability: far below any tolerance
NEVER_MS = 2**62  # since when a fingerprint stands that nobody vouches for


class NoFingerprint(ValueError):
    """A reply holds no fingerprint; the message says what it holds."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One reply to PROMPT. `engine`: its word for its own build and configuration."""

    logprobs: list[float]
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Vote:
    """A fingerprint with who says so and since when."""

    logprobs: Sequence[float]
    since_ms: int
    by: str


def request(model: str) -> dict[str, Any]:
    """The body for /v1/completions. Prompt log-probabilities are never answered from the prefix cache."""
    return {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}


class _Token(msgspec.Struct, frozen=True):
    logprob: float


class _Choice(msgspec.Struct, frozen=True):
    prompt_logprobs: list[dict[str, _Token] | None]


class _Reply(msgspec.Struct, frozen=True):
    model: str
    choices: list[_Choice]
    system_fingerprint: str | None = None


def read(body: bytes, model: str) -> Measured:
    """The fingerprint in a reply. Raises NoFingerprint where another model gave it, or it has none."""
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except msgspec.DecodeError as error:
        raise NoFingerprint(f"probe of {model}: {error}: {body[:200]!r}") from error
    if reply.model != model:
        raise NoFingerprint(f"probe of {model}: answered by {reply.model}")
    found = [next(iter(each.values())).logprob for c in reply.choices[:1] for each in c.prompt_logprobs if each]
    if not found or not all(map(math.isfinite, found)):
        raise NoFingerprint(f"probe of {model}: log-probabilities are {found}, expected some finite ones")
    return Measured([round(value, DIGITS) for value in found], reply.system_fingerprint or "")


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Mean absolute difference; infinite where they are of different lengths: of other tokenizers.

    >>> distance([-1.0, -2.0], [-1.5, -2.0])
    0.25
    """
    if len(one) != len(other) or not one:
        return math.inf
    return math.fsum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def elected(votes: Iterable[Vote], tolerance: float) -> Vote:
    """The vote that most agree with; of equals the longest-standing, then the first by name.

    >>> old, new = Vote([-1.0], 5, "a"), Vote([-3.0], 9, "b")
    >>> elected([old, new], 0.1).by, elected([old, new, Vote([-3.01], 10, "c")], 0.1).by
    ('a', 'b')
    """
    cast = sorted(votes, key=lambda vote: (vote.since_ms, vote.by))
    sizes = [sum(distance(vote.logprobs, each.logprobs) <= tolerance for each in cast) for vote in cast]
    return cast[sizes.index(max(sizes))]


def remembered(known: Probe | None, seen: Measured, now_ms: int, tolerance: float) -> Probe:
    """What a replica has to say of itself: what it always said, or that it differs now. An engine of another build or
    configuration begins anew: only the other replicas can tell whether it may differ."""
    apart = distance(known.logprobs, seen.logprobs) if known else math.inf
    if known is None or (apart > tolerance and known.engine != seen.engine):
        return Probe(logprobs=seen.logprobs, since_ms=now_ms, engine=seen.engine)
    differing = seen.logprobs if apart > tolerance else []
    return msgspec.structs.replace(known, engine=seen.engine, differing=differing)


def own(probe: Probe, me: str) -> list[Vote]:
    """What a replica measures, and what it did before where that was something else."""
    before = Vote(probe.logprobs, probe.since_ms, me)
    return [Vote(probe.differing, NEVER_MS, me), before] if probe.differing else [before]


def others(replicas: Iterable[ReplicaAttested], me: str, version: str, digest: str) -> list[Vote]:
    """What the other replicas measure for the same digest, whether they attest it or not."""
    votes = []
    for each in replicas:
        told = each.probes.get(version)
        if told is not None and each.replica != me and each.versions.get(version, digest) == digest:
            votes.append(own(told, each.replica)[0])
    return votes
