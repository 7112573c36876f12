"""One question a file: do labels prove harm, does what comes in look different, do answers cross a line?

Each signal has its own state and takes rows in the log's order. Imports `reference`, `detectors` and `explain`; knows
nothing of the version that is watched.
"""
