"""The demo: the closed loop on this machine, with simulated clients and a report.

`loop.run` is the way through: `data`, `shares`, `stack` and `clients` first; `pacing` and `observer` while it runs;
`record`, `summary`, `report`, `page` and `timeline` afterwards. Only `deploy.commands` imports it.
"""
