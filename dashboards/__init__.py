"""Grafana dashboards, alert rules and runbooks as code.

`export.export` writes them as files, `push.push` brings a running Grafana up to date. `fleet` and `pages` are the
dashboards, `pages` that of the runbooks; `rules` has the alerts, from which `alerts` makes Grafana's and
`prometheus_rules` those of Prometheus, with the words of `texts`.

It imports no other room and knows metrics by their names, which `tests/dashboards/test_names.py` looks up. Only
`deploy.commands` imports it.
"""
