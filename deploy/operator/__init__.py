"""An operator's work: versions, first adapters, status, alarms, labels, dead letters, topics, budget, replay.

Each module is the body of one group of commands, which prints what it returns. `replay.FUNCTIONS` has the functions
whose decisions can be derived again. It imports `config`, `show` and `stack`; `commands`, `roles`, `backtest` and
`demo` may import it.
"""
