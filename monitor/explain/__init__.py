"""An alarm explained: what moved, in which slice, with which examples.

Imports `describe`, `detectors` and `reference`; never decides anything.
"""
