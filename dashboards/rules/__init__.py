"""The rules that page people, from which Grafana's and Prometheus' rules are made.

`rule` has the shape of one; `alarms`, `clients`, `processes` and `log` hold them by subject, `table` all of them.
"""
