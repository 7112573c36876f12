"""Does a replica attest an adapter that its engine does not compute with? `python -m tests.bench.retrain.proof`.

A random Llama of four layers; for each try an adapter that moved on from another, its proof by the job's code, and a
replica with the reconciler that ships over an engine that calculates in the serving type with batches and rounding of
chance. Wrong adapters are of ten kinds. Prints a table and writes `var/bench/proof.json`; about ten minutes."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from pathlib import Path

import click
import structlog
import torch

from streams.kinds import ProofOutcome
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note
from tests.retrain.support.faulty_engine import KINDS
from tests.retrain.support.proven_adapter import Bases, ProvenAdapter

OUT = Path("var/bench/proof.json")
TRIES, QUICK = 100, 5
DTYPES = ("float32", "bfloat16")


@click.command()
@click.option("--quick", is_flag=True, help="A fraction of the tries: to see that it works, not to quote.")
def main(quick: bool) -> None:
    """How often wrong and right adapters are attested."""
    tell(measured(quick), OUT)


def measured(quick: bool) -> list[Figure]:
    """Wrong adapters of each kind, and right ones, in each type that engines calculate in."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        bases = Bases.made(Path(scratch))
        return [each for dtype in DTYPES for each in _in(dtype, bases, Path(scratch), QUICK if quick else TRIES)]


def _in(dtype: str, bases: Bases, scratch: Path, tries: int) -> list[Figure]:
    right, passed, nearest = 0, Counter[str](), dict.fromkeys(KINDS, float("inf"))
    noisiest, impossible = 0.0, 0
    for seed in range(tries):
        note(f"{dtype}: try {seed + 1} of {tries}")
        made = ProvenAdapter.made(bases, scratch / "try", dtype, seed)
        impossible += bool(made.proof.impossible)
        found = made.right()
        shown = found.proofs[made.adapter.version]
        right += bool(found.versions) and shown.outcome == ProofOutcome.GIVEN
        noisiest = max(noisiest, shown.distance / shown.tolerance if shown.tolerance else 0.0)
        for kind in KINDS:
            found = made.wrong(kind)
            passed[kind] += bool(found.versions)
            shown = found.proofs[made.adapter.version]
            nearest[kind] = min(nearest[kind], shown.distance / shown.tolerance if shown.tolerance else 0.0)
    return [
        Figure(f"{dtype}: right adapters attested, of {tries}", right, "tries", tries, "higher"),
        Figure(f"{dtype}: wrong adapters attested, of {len(KINDS) * tries}", passed.total(), "tries", 0),
        Figure(f"{dtype}: proofs that were not possible", impossible, "tries"),
        Figure(f"{dtype}: farthest right answer, in tolerances", noisiest, ""),
        *(
            Figure(
                f"{dtype}: {kind}: attested", passed[kind], "tries", 0, note=f"nearest {nearest[kind]:.1f} tolerances"
            )
            for kind in KINDS
        ),
    ]


if __name__ == "__main__":
    main()
