"""Requests and versions: the gateway, capture, routing, hot swap and rollout.

Three parts that meet in the log: `gateway` answers clients, `replica` makes each engine serve what the routes want,
`rollout` brings a candidate to the champion's place. All three read `routes`; `append` writes to the log, `settings`
and `metrics` are the room's.

It imports `streams` and `monitor`, never `retrain`; only `deploy` imports it.
"""
