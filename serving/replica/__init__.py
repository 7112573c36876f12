"""One replica's side: the reconciler makes an engine serve what the routes want, and attests what it serves.

`reconciler.Reconciler` is the way in. `adapters` checks the files, `loader` loads and unloads them through `engine`,
`proofs` shows by the questions of `effect` that the engine computes with an adapter, `probe` and `fingerprints` compare
replicas where an adapter has no proof, `reprobe` asks again now and then, `attester` writes the attestations.

It imports `routes`, and nothing of the gateway or the rollouts. `rollout` and `deploy` import it.
"""
