"""Candidate and champion on the same rows through the serving engine, and the gate that judges the pairs of scores.

`comparison.compare` is the way in: it asks for rows until `gate.judge`, which is pure, has a verdict. `evaluate` loads
adapters into the engine and asks it, `limits` bounds its answers. `checks` has the one test of a claim, which `groups`,
`ratios` and `safety` give claims to; `outlook` says how many labels more would settle it.

It imports `data` and `training`; only the job's modules and the trainer import it.
"""
