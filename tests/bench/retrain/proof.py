"""Does a replica attest an adapter that its engine does not compute with?

A random Llama of four layers; for each try an adapter that moved on from another, its proof by the job's code, and a
replica with the reconciler that ships, over an engine that calculates in the serving type with batches and rounding of
chance: with the adapter, and with a wrong one of ten kinds in turn. Ten minutes of one processor."""

from __future__ import annotations

import logging
import math
import tempfile
from pathlib import Path

import structlog
import torch

from streams.events import ReplicaAttested
from tests.bench.retrain.goals import figure
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.retrain.support.faulty_engine import KINDS
from tests.retrain.support.proven_adapter import Bases, ProvenAdapter

TRIES, QUICK = 100, 10
DTYPES = ("float32", "bfloat16")


def measured(quick: bool) -> list[Figure]:
    """Wrong adapters, and right ones, in each type that engines calculate in."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        bases = Bases.made(Path(scratch))
        return [each for dtype in DTYPES for each in _in(dtype, bases, Path(scratch), QUICK if quick else TRIES)]


def _in(dtype: str, bases: Bases, scratch: Path, tries: int) -> list[Figure]:
    right, passed, impossible = 0, 0, 0
    farthest, nearest = 0.0, dict.fromkeys(KINDS, math.inf)
    for seed in range(tries):
        note(f"{dtype}: try {seed + 1} of {tries}")
        made = ProvenAdapter.made(bases, scratch / "try", dtype, seed)
        impossible += bool(made.proof.impossible)
        attested, tolerances = _seen(made, made.right())
        right += attested
        farthest = max(farthest, tolerances)
        kind = KINDS[seed % len(KINDS)]
        attested, tolerances = _seen(made, made.wrong(kind))
        passed += attested
        nearest[kind] = min(nearest[kind], tolerances)
    about = f"proof, {dtype}: "
    return [
        figure(f"{about}right adapters attested", 100 * right / tries, "%", f"of {tries}"),
        figure(f"{about}wrong adapters attested", passed, "tries", f"of {tries}, ten kinds"),
        Figure(f"{about}not possible", impossible, "tries"),
        Figure(f"{about}right ones: farthest from the adapter", farthest, "tolerance"),
        *(Figure(f"{about}{kind}: nearest to it", nearest[kind], "tolerance") for kind in KINDS[:tries]),
    ]


def _seen(made: ProvenAdapter, found: ReplicaAttested) -> tuple[bool, float]:
    """Whether it is attested, and how many tolerances its answers are off; 0 without a proof."""
    shown = found.proofs[made.adapter.version]
    return bool(found.versions), shown.distance / shown.tolerance if shown.tolerance else 0.0
