"""A proof of effect: questions whose answers show that an engine computes with an adapter's very weights.

A question is a prefix of tokens; its answer is the log-probabilities of the next one. The training's job calculates
them, in the type that serves, and puts them into the adapter's folder, where they are part of its digest. A prefix
holds no client's words: it is drawn from the vocabulary, within the chat template.

The distance of an engine's answers is the root mean square of the differences, in nats, over all tokens named. The
tolerance is at most a quarter of the smallest gap between the adapter and what an engine is likeliest to serve in its
place, the base model and the adapter before: so neither can pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from streams.identity import PROOF_FILE
from streams.kinds import ProofOutcome

LEAST = -20.0  # nats: below it engines' figures are floors (-9999), and nobody's answer depends on them
GAPS_A_TOLERANCE = 4  # how many tolerances the smallest gap has, at least

Answer = Mapping[int, float]  # token -> log-probability, nats


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One engine's answer to the probe prompt under a version's name (see `serving.replica.probe`)."""

    logprobs: dict[str, float]  # of the likeliest next tokens, by the engine's names for them
    since_ms: int  # when this replica first measured so; not contradicted since
    engine: str = ""  # the engine's own name for its build and configuration
    edition: int = 1  # of the question: answers to different ones are not compared
    differing: dict[str, float] = {}  # the present measurement, where it differs: not attested then


class ProofRow(msgspec.Struct, frozen=True, kw_only=True):
    """One question, with the right answer."""

    prefix: list[int]  # tokens
    expected: dict[int, float]  # next token -> its log-probability with the adapter, nats
    gaps: dict[str, float]  # "base", "predecessor" -> distance of its answer, nats


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one adapter. Without rows there is none, and `impossible` says why."""

    dtype: str  # in which the answers were calculated
    tolerance: float = 0.0  # largest distance of an engine that computes with the adapter, nats
    noise: float = 0.0  # distance of the adapter's own answers where every sum is rounded otherwise, nats
    faults: dict[str, float] = {}  # other faults that were tried ("layer 3 lost") -> distance of their answers, nats
    rows: list[ProofRow] = []
    impossible: str = ""


class ProofShown(msgspec.Struct, frozen=True, kw_only=True):
    """How one engine answered the proof of a version's adapter."""

    outcome: ProofOutcome  # whether its answers are the adapter's; nothing else decides whether it is attested
    since_ms: int  # when the outcome became so
    distance: float = 0.0  # root mean square difference from the expected log-probabilities then, nats
    tolerance: float = 0.0  # largest distance that is given as proven, nats
    reason: str = ""  # why it is not proven


class BrokenProof(ValueError):
    """A proof's file is not what it should be; the message names it and what was expected."""


def distance(expected: Iterable[Answer], given: Iterable[Answer]) -> float:
    """Return the root mean square of the differences over all expected tokens. A token that an answer does not name is
    taken to be as likely as the least of those that it does. Infinite where there is nothing to compare.

    >>> distance([{5: -1.0, 6: -2.0}], [{5: -1.0, 6: -2.5, 7: -9999.0}])
    0.3535533905932738
    >>> distance([{5: -1.0}], [{6: -3.0}]), distance([{5: -1.0}], [{}])
    (2.0, inf)
    """
    apart = [
        _bounded(value) - _bounded(answer.get(token, min(answer.values()))) if answer else math.inf
        for right, answer in zip(expected, given, strict=True)
        for token, value in right.items()
    ]
    squares = [each * each for each in apart]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else math.inf


def needed_gap(tolerance: float) -> float:
    """Return the smallest gap that the tolerance is small enough for."""
    return GAPS_A_TOLERANCE * tolerance


def read(path: Path) -> Proof | None:
    """Return the proof in an adapter's folder; None where there is none. Raise BrokenProof where it proves nothing."""
    try:
        content = (path / PROOF_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        proof = msgspec.json.decode(content, type=Proof)
        _check(proof)
    except (ValueError, RecursionError) as error:
        raise BrokenProof(f"{path / PROOF_FILE}: {error}") from error
    return proof


def encode(proof: Proof) -> bytes:
    """Return the file's bytes, the same for equal proofs."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=0)


def _check(proof: Proof) -> None:
    if not proof.rows:
        if not proof.impossible:
            raise ValueError("it has no rows and does not say why; expected rows, or `impossible`")
        return
    figures = [proof.tolerance, proof.noise, *(gap for row in proof.rows for gap in row.gaps.values())]
    figures += [value for row in proof.rows for value in row.expected.values()]
    if not all(map(math.isfinite, figures)) or proof.tolerance <= 0:
        raise ValueError(f"tolerance is {proof.tolerance}; expected it above 0, and finite figures")
    if not all(row.prefix and row.expected and row.gaps for row in proof.rows):
        raise ValueError("a row lacks its prefix, its expected answer or its gaps")
    smallest = min(gap for row in proof.rows for gap in row.gaps.values())
    if needed_gap(proof.tolerance) > smallest:
        raise ValueError(
            f"tolerance is {proof.tolerance:g}, the smallest gap {smallest:g}; expected a quarter of it at most"
        )


def _bounded(value: float) -> float:
    return max(value, LEAST)
