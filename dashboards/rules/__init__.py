"""The rules that page people, from which Grafana's and Prometheus' rules are made.

`table` is the way in: all rules in the order of their pages. `rule` has the shape of one; `alarms`, `clients`,
`processes` and `log` hold them by subject. Each has a page of its name in `dashboards/runbooks/`.

Of its room it imports `promql` only. `pages`, `texts`, `alerts`, `prometheus_rules` and `push` import it.
"""
