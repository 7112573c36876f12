"""Connections to the engines: pool, links, ejection, health, failures, and whether a request may be sent once more.

`pool.EnginePool` is the way in; a `link` is one connection with one request at a time. `health` and `ejection` say
which replica is asked last, `retry` and `failure` what becomes of a try that failed.

Of the gateway it may import `errors` and nothing else. Written for speed, measured by `make bench-serving`.
"""
