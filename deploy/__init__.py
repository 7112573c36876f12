"""The composition root: configuration, command line, local stack and demo. Only this room wires the others.

`stack` < `config`, `show`, `doctor` < `operator` < `roles`, `backtest`, `demo` < `commands` < `cli`: a wing imports
only those before it (`tests/test_rooms.py`).
"""
