"""Candidate and champion on the same rows through the serving engine, and the gate that judges the pairs of scores.

`gate` is pure; `evaluate` asks the engine.
"""
