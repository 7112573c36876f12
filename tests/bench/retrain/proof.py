"""Does a replica attest an adapter that its engine does not compute with? `python -m tests.bench.retrain.proof`.

A random Llama of four layers; for each try an adapter that moved on from another, its proof by the job's code, and a
replica with the reconciler that ships, over an engine that calculates in the serving type with batches and rounding of
chance: with the adapter, and with a wrong one of ten kinds in turn (`--every-kind`: of each). Prints a table and
writes `var/bench/proof.json`; about ten minutes."""

from __future__ import annotations

import logging
import math
import tempfile
from collections import Counter
from pathlib import Path

import click
import structlog
import torch

from streams.events import ReplicaAttested
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note
from tests.retrain.support.faulty_engine import KINDS
from tests.retrain.support.proven_adapter import Bases, ProvenAdapter

OUT = Path("var/bench/proof.json")
TRIES, QUICK = 100, 5
DTYPES = ("float32", "bfloat16")


@click.command()
@click.option("--quick", is_flag=True, help="A fraction of the tries: to see that it works, not to quote.")
@click.option("--every-kind", is_flag=True, help="Each kind of wrong adapter at each try: an hour and more.")
def main(quick: bool, every_kind: bool) -> None:
    """How often wrong and right adapters are attested."""
    tell(measured(quick, every_kind=every_kind), OUT)


def measured(quick: bool, *, every_kind: bool = False) -> list[Figure]:
    """Wrong adapters of each kind, and right ones, in each type that engines calculate in."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    torch.set_num_threads(1)
    tries, kinds = QUICK if quick else TRIES, len(KINDS) if every_kind else 1
    with tempfile.TemporaryDirectory() as scratch:
        bases = Bases.made(Path(scratch))
        return [each for dtype in DTYPES for each in _in(dtype, bases, Path(scratch), tries, kinds)]


def _in(dtype: str, bases: Bases, scratch: Path, tries: int, kinds: int) -> list[Figure]:
    right, passed, impossible, asked = 0, Counter[str](), 0, tries * kinds
    farthest, nearest = 0.0, dict.fromkeys(KINDS, math.inf)
    for seed in range(tries):
        note(f"{dtype}: try {seed + 1} of {tries}")
        made = ProvenAdapter.made(bases, scratch / "try", dtype, seed)
        impossible += bool(made.proof.impossible)
        attested, tolerances = _seen(made, made.right())
        right += attested
        farthest = max(farthest, tolerances)
        for number in range(seed * kinds, (seed + 1) * kinds):
            kind = KINDS[number % len(KINDS)]
            attested, tolerances = _seen(made, made.wrong(kind))
            passed[kind] += attested
            nearest[kind] = min(nearest[kind], tolerances)
    told = (f"{dtype}: {kind}: nearest to the adapter, in tolerances" for kind in KINDS)
    return [
        Figure(f"{dtype}: right adapters attested, of {tries}", right, "tries", tries, "higher"),
        Figure(f"{dtype}: wrong adapters attested, of {asked}", passed.total(), "tries", 0),
        Figure(f"{dtype}: proofs that were not possible, of {tries}", impossible, "tries"),
        Figure(f"{dtype}: right ones: farthest from the adapter, in tolerances", farthest, ""),
        *(Figure(name, nearest[kind], "") for name, kind in zip(told, KINDS, strict=True)),
    ]


def _seen(made: ProvenAdapter, found: ReplicaAttested) -> tuple[bool, float]:
    """Whether it is attested, and how many tolerances its answers are off; 0 without a proof."""
    shown = found.proofs[made.adapter.version]
    return bool(found.versions), shown.distance / shown.tolerance if shown.tolerance else 0.0


if __name__ == "__main__":
    main()
