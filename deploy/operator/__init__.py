"""An operator's work: versions, first adapters, status, alarms, labels, dead letters, topics, budget, replay.

Each module is the body of one group of commands; `deploy.commands` prints. `roles`, `backtest` and `demo` may
use it too.
"""
