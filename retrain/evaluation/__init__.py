"""Candidate and champion on the same rows through the serving engine, and the gate that judges the pairs of scores.

`comparison.compare` is the way through: `evaluate` asks the engine, within `limits`; `gate` is pure, and judges.
"""
