"""What is normal: the frozen reference, its sample, its seasonality, and how its events depend on each other.

The way in is `frozen.Reference`. Imports `describe` and `detectors`. Imported by
`explain`, `signals` and `watch`.
"""
