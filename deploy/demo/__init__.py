"""The demo: the closed loop on this machine, with simulated clients and a report.

`loop.run` is the way in: `data`, `shares`, `stack` and `clients` come first; `pacing` and `observer` while it runs;
`record`, `summary`, `report`, `page` and `timeline` afterwards. The rows are those of a folder, or of `world`. It
imports `operator` and what is below, never `roles` or `backtest`. Only `deploy.commands` imports it.
"""
