"""One replica's side: the reconciler makes an engine serve what the routes want, and attests what it serves.

`reconciler.Reconciler` is the way in. `adapters` checks the files, `loader` loads and unloads them through `engine`,
`probe` and `fingerprints` prove which adapter answers, `reprobe` proves it again now and then, `attester` writes the
attestations.

It imports `routes`, and nothing of the gateway or the rollouts. `rollout` and `deploy` import it.
"""
