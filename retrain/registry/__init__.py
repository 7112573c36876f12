"""The registry: which versions there are, how each came to be, and which one an alias serves.

`origins` keeps in the store how a version was made, `lineage` goes from a version to its ancestors. `versions`,
`mirror` and `follower` mirror the routes into MLflow's model versions, in a process of their own; `approvals` reads
what people set there. `asking` and `schedule` are ways to a retraining that no alarm asked for."""
