"""Connections to the engines: pool, links, ejection, health, failures, and whether a request may be sent once more.

The way in is `pool.EnginePool`. It may import `errors` and nothing else of the gateway. Written for speed, measured by
`make bench-serving`.
"""
