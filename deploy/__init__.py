"""The composition root: configuration, command line, local stack and demo. Only this room wires the others.

`cli.main` is the command `homeostat`. Its wings stand on floors: `stack` < `config`, `show`, `doctor` < `operator` <
`admin` < `roles`, `backtest`, `demo` < `commands` < `cli`. A wing imports only from the floors below it
(`tests/test_rooms.py`). No other room imports this one.
"""
