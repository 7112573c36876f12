"""Sequential tests, one a module, that all keep the promise of `interface`.

A detector is a frozen dataclass of settings with `start`, `update(state, values, moments)` and `evidence`; its
docstring has its promise, its source and an example. `location_spread`, `categories` and `texts` compare with a
reference, `risk` bets on labels; `paired` is for pairs and has a form of its own; `mixture`, `blocks` and `episode` are
what they share. A new one is a file here and a row in `tests/monitor/detectors/test_promises.py`; a signal has to use
it before it raises an alarm.

It imports no other wing. Every other one but `describe` may import it, and so do the gate of `retrain` and the guard of
`serving`.
"""
