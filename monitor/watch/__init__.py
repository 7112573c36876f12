"""One version of one alias: its reference, its signals, its open alarms.

The way in is `version.Watch`, taken forward by `replies` and `labels`.
"""
