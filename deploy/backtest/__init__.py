"""A recorded history, replayed past other policies: when each would have acted, and at what cost.

`command` is the way in, for `homeostat backtest`; `run.run` reads the history once. `replay` advances each policy
through it, `observed` keeps the facts, `recorded` those of a ledger; `harms` and `measures` weigh, `report` compares,
`table`, `picture` and `page` show. Only `deploy.commands` imports it.
"""
