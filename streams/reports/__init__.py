"""An alarm's page, rendered in a process of its own, so that no report can take the worker's memory or time.

The way in is `reporter`. Imports `lake` for the rows it shows.
"""
