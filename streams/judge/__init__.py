"""Judges each alias in the log's order: past `monitor.judge` first, then effects, then memory.

`agent.JudgeAgent` is the way in; `step.step` is its pure part. `ordering` puts scores into the order of the log's time,
`memory` keeps what the judge remembers. The ledger is written before an effect, and the memory confirmed before offsets
are acknowledged.

It imports `lake` and `log`, never `ingest`. `worker`, and the operator's acts and backtest of `deploy` import it.
"""
