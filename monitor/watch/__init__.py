"""One version of one alias: its reference, its signals, its open alarms.

The state is `version.VersionState`; `record` keeps it as flat JSON. Rows come in through `replies` and `labels`, which
pass them on to the signals (`open_alarms.taken`). Imports `signals` and all that they import. Imported by `judge`.
"""
