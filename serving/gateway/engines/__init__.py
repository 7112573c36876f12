"""Connections to the engines: pool, links, ejection, health, and whether a request may be sent once more.

The way in is `pool.Pool`. Written for speed, measured by `make bench-serving`.
"""
