"""A proof as adapters come with, small and made up."""

from __future__ import annotations

from streams.proof import Proof, ProofRow

ROW = ProofRow(prefix=[2, 105, 9], expected={5: -0.5, 6: -2.0}, gaps={"base": 2.0, "predecessor": 1.0})
PROOF = Proof(dtype="float32", tolerance=0.2, noise=0.01, faults={"layer 0 lost": 0.7}, rows=[ROW, ROW], impossible="")
