"""Sequential tests, one a module, that all keep the promise of `monitor.detectors.interface`.

Each has its promise, its source and an example in its docstring. Imports nothing of the other wings.
"""
